"""Write docs/validation.md: what given benchmarks print, with the date and the machine.

``python docs/validation.py phantom_accuracy "nuclei_accuracy FOLDER"`` runs ``benchmarks/phantom_accuracy.py`` and
``benchmarks/nuclei_accuracy.py FOLDER``, and puts what they printed in place of what the page had of them. Sections of
other benchmarks stay as they are, with their own dates. Folders of images are named on the page by their last part
only. Run it on an idle machine: the figures are as good as that.
"""

from __future__ import annotations

import argparse
import platform
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import cher2
from cher2.cells.score import ALGORITHM

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "validation.md"
MISSED = 1
"""The exit code of a benchmark that ran and missed a mark."""


def main() -> int:
    """Run the benchmarks, write the page; return 1 where one could not run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmarks", nargs="+", metavar="BENCHMARK", help="name and arguments, quoted")
    page, failed = PAGE.read_text(encoding="utf-8"), 0
    for command in parser.parse_args().benchmarks:
        name, *arguments = shlex.split(command)
        script = ROOT / "benchmarks" / f"{name.removesuffix('.py')}.py"
        print(f"{script.name} ...", flush=True)
        ran = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)
        # Python ends with 1 as well where a benchmark broke down.
        if ran.returncode not in (0, MISSED) or "Traceback" in ran.stderr or not ran.stdout.strip():
            print(ran.stderr, file=sys.stderr)
            failed = 1
            continue
        page = with_section(page, script.name, section(script.name, arguments, ran.stdout, ran.returncode))
        PAGE.write_text(page, encoding="utf-8", newline="\n")
    return failed


def section(script: str, arguments: list[str], printed: str, code: int) -> str:
    """Return the section of a benchmark as Markdown."""
    shown = " ".join(Path(word).name if "/" in word else word for word in arguments)
    for word in (word for word in arguments if "/" in word):
        printed = printed.replace(word, Path(word).name)
    verdict = "A mark was missed." if code == MISSED else "No mark was missed."
    words = f"{datetime.now(UTC):%Y-%m-%d}, {machine()}; {software()}. {verdict}"
    text = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
    return f"## {script}\n\n{words}\n\n```text\n$ python benchmarks/{script} {shown}".rstrip() + f"\n{text}\n```\n"


def machine() -> str:
    """Return what the machine is, without its name."""
    names = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text()) if sys.platform == "linux" else []
    processor = names[0] if names else platform.processor() or platform.machine()
    cores = f"{len(names)} cores of " if names else ""
    return f"{cores}{processor}, {platform.system()}"


def software() -> str:
    """Return the versions that a figure hangs on, with the commit where there is one."""
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    version = f"cher2 {cher2.__version__}{f' ({commit})' if commit else ''}"
    return f"{version}, algorithm {ALGORITHM}, Python {platform.python_version()}"


def with_section(page: str, script: str, new: str) -> str:
    """Return the page with a benchmark's section replaced, or put at the end where there was none."""
    start, *sections = re.split(r"(?m)^(?=## )", page)
    old = [part for part in sections if part.startswith(f"## {script}\n")]
    kept = [new if part in old else part for part in sections] + ([] if old else [new])
    return "\n".join(part.rstrip("\n") + "\n" for part in [start, *kept])


if __name__ == "__main__":
    sys.exit(main())
