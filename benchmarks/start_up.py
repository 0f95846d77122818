"""How long ``import cher2`` and ``cher2 --help`` take, beside an empty interpreter in the same run.

Run ``python benchmarks/start_up.py``: medians of eleven runs; exits non-zero above the marks (0.3 s and 0.5 s).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ([sys.executable, "-c", "pass"], None),
    "import cher2": ([sys.executable, "-c", "import cher2"], 0.3),
    "cher2 --help": ([sys.executable, "-c", "from cher2.cli import main; main()", "--help"], 0.5),
}
RUNS = 11


def seconds(command: list[str]) -> float:
    """Return the median wall time of a command over several runs, after one to warm up."""
    times = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> int:
    """Time every command, print a line each; return 1 where a mark is missed."""
    missed = False
    print(f"{'command':<18}{'seconds':>9}{'mark':>7}")
    for name, (command, mark) in COMMANDS.items():
        took = seconds(command)
        missed |= mark is not None and took > mark
        print(f"{name:<18}{took:>9.3f}{mark if mark else '':>7}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
