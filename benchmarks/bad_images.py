"""Hostile images: each ends in a named error within 2 s and 500 MB, or is read right; a run of them scores the rest.

Run ``python benchmarks/bad_images.py`` (``--only WORD`` for some, ``--no-run`` without the runs). Each case is read as
``cher2 run`` and ``cher2 info`` read it, and scored where it can be read, in a process of its own, forked after
Python's imports: seconds count from the call of the reader, MB is the peak of the whole process, imports included.
Then one ``cher2 run`` takes all of them, each beside a good image of the same patient, and its tables are looked at.
Prints a row a case and exits non-zero where one ended otherwise than it should. Some minutes, 1 GB of disk.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import cv2
import czifile  # noqa: F401 The libraries of formats take up to a second to be imported, by the first file of theirs.
import liffile  # noqa: F401
import nd2  # noqa: F401
import pandas as pd
import zarr  # noqa: F401
from hostile_images import CASES
from hostile_tiffs import EITHER, READ, Case, save_ome

from cher2.cells.score import score_image
from cher2.errors import Cher2Error, ImageError
from cher2.images.description import describe, description_lines, printable
from cher2.images.files import find_image_files
from cher2.images.reader import open_frames, read_frames
from cher2.protocol import Protocol
from cher2.simulate.settings import StudySettings
from cher2.simulate.study import simulate_study

PROGRAM = "from cher2.cli import main; main()"
MOST_S, MOST_MB = 2.0, 500.0
PATIENCE_S = 60.0
MEMORY_BYTES = 6 << 30
COUNTED = Protocol.from_dict({"channels": {"dapi": 0, "ck": 1, "cd45": 2, "her2": 3}})
"""For images whose channels have no names."""


class Ending(NamedTuple):
    """How a case ended: images read and refused; seconds of reading (clock, processor) and of scoring; peak memory."""

    read: int
    refused: list[str]
    fault: str
    seconds: float
    cpu_seconds: float
    score_seconds: float
    mb: float


def peak_mb() -> float:
    """Return the peak of this process's resident memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make(case: Case, folder: Path, answer: Any) -> None:
    """Write a case into a folder; some take much memory to be made."""
    case.make(folder)
    answer.send(None)


def look(folder: Path, answer: Any) -> None:
    """Read, describe and score whatever is in a folder, and send how it ended."""
    cv2.setNumThreads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    protocol, images, refused, fault = Protocol(), [], [], ""
    began, used = time.perf_counter(), time.process_time()
    try:
        for file in find_image_files(folder, protocol):
            try:
                images += list(read_frames(file, protocol))
                with open_frames(file, protocol) as frames:
                    description_lines(describe(file, frames, protocol))
            except Cher2Error as error:
                refused.append(f"{type(error).__name__}: {error}")
    except Cher2Error as error:
        refused.append(f"{type(error).__name__}: {error}")
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
    seconds, cpu, mb = time.perf_counter() - began, time.process_time() - used, peak_mb()
    began = time.perf_counter()
    for image in images:
        try:
            score_image(image, protocol if all(image.channels) else COUNTED)
        except ImageError as error:
            refused.append(f"scoring: {error}")
        except Exception as error:
            fault = f"scoring: {type(error).__name__}: {error}"
    answer.send(Ending(len(images), refused, fault, seconds, cpu, time.perf_counter() - began, mb))


def apart(target: Callable[..., None], *words: Any) -> Any:
    """Do something in a process of its own, which is ended when it takes too long, and return its answer."""
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(*words, there))
    process.start()
    there.close()
    try:
        if here.poll(PATIENCE_S):
            return here.recv()
        return Ending(0, [], f"it did not end within {PATIENCE_S:.0f} s", PATIENCE_S, 0, 0, 0)
    except EOFError:
        return Ending(0, [], "the process died", 0, 0, 0, 0)
    finally:
        process.kill()
        process.join()


def wrong(case: Case, end: Ending) -> str:
    """Return what is wrong with how a case ended; empty where nothing is."""
    if end.fault:
        return end.fault
    if end.seconds > MOST_S or end.mb > MOST_MB:
        return "too slow or too large"
    named = [text for text in end.refused if text.startswith(("ImageError", "ChannelError"))]
    if case.ends in (READ, EITHER):
        return "refused" if case.ends == READ and (end.refused or end.read != case.frames) else ""
    if not any(re.search(case.ends, text) for text in named):
        return "not refused as it should be"
    return "" if end.read == case.frames else f"{end.read} images were read, not {case.frames}"


def words_run(*words: object) -> tuple[int, str, float, float]:
    """Run cher2 with words; return exit code, its words, seconds with Python's start, and peak MB."""
    before = time.perf_counter()
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    with tempfile.TemporaryFile() as said:
        run = subprocess.Popen(command, stdout=said, stderr=said)
        _, status, used = os.wait4(run.pid, 0)
        said.seek(0)
        text = said.read().decode(errors="replace")
    code = run.returncode = os.waitstatus_to_exitcode(status)
    return code, text, time.perf_counter() - before, used.ru_maxrss / 1024


def one_run(home: Path, cases: list[Case]) -> list[str]:
    """Score all cases in one run, each beside a good image of its patient; return what is wrong with its tables."""
    settings = StudySettings(patients=1, frames_per_patient=1, frame_shape=(240, 320), seed=1)
    simulate_study(home / "synthetic", settings)
    (good,) = (home / "synthetic" / "images").rglob("*.tif")
    for number, case in enumerate(cases):
        folder = home / "images" / f"P{number}"
        (folder / "bad").mkdir(parents=True)
        shutil.copy(good, folder / "good.ome.tif")
        apart(make, case, folder / "bad")
    (home / "images" / "good").mkdir()
    shutil.copy(good, home / "images" / "good" / "good.ome.tif")
    (home / "images" / "lost").mkdir()
    (home / "images" / "lost" / "a.tif").write_bytes(good.read_bytes()[:5000])
    code, said, seconds, mb = words_run("run", home / "images", "-o", home / "study", "--workers", "1")
    print(
        f"cher2 run of {len(cases)} cases and {len(cases) + 1} good images: exit {code}, {seconds:.0f} s, {mb:.0f} MB"
    )
    if "Traceback" in said or code != 1:
        return [f"the run ended with {code}: {said[-500:]}"]
    return wrong_tables(home / "study", cases)


def wrong_tables(study: Path, cases: list[Case]) -> list[str]:
    """Return what is wrong with the tables of the run."""
    errors = pd.read_csv(study / "errors.csv", dtype=str, keep_default_na=False)
    patients = pd.read_csv(study / "patients.csv", dtype=str, keep_default_na=False).set_index("patient_id")
    good, faults = patients.loc["good"], []
    if patients.loc["lost", "reason"] != "no image of the patient could be read":
        faults.append(f"a patient with nothing but a cut image: {patients.loc['lost', 'reason']}")
    for number, case in enumerate(cases):
        patient = patients.loc[f"P{number}"]
        own = errors[errors["image"].str.startswith(f"P{number}/")]
        if case.ends not in (READ, EITHER) and not any(re.search(case.ends, said) for said in own["message"]):
            faults.append(f"{case.name}: not named in errors.csv")
        if not set(own["error"]) <= {"ImageError", "ChannelError"} or not own["message"].str.endswith(".").all():
            faults.append(f"{case.name}: {own['error'].tolist()}, {own['message'].tolist()}")
        if len(own) and f"{len(own)} image" not in patient["reason"]:
            faults.append(f"{case.name}: the patient's reason does not tell: {patient['reason']}")
        if patient["n_images"] == "1" and patient["n_ctcs"] != good["n_ctcs"]:
            faults.append(f"{case.name}: {patient['n_ctcs']} CTCs, {good['n_ctcs']} in the good image alone")
    return faults


def from_the_start(home: Path) -> None:
    """Print what a cut image takes with Python's start and imports."""
    (home / "cut").mkdir()
    save_ome(home / "cut").write_bytes(save_ome(home / "cut").read_bytes()[:5000])
    for words in (("info", home / "cut" / "a.ome.tif"), ("run", home / "cut", "-o", home / "none", "--workers", "1")):
        code, said, seconds, mb = words_run(*words)
        last = " ".join(said.split())[-110:]
        print(
            f"cher2 {words[0]} of a cut image, with Python's start: exit {code}, {seconds:.2f} s, {mb:.0f} MB: {last}"
        )


def main() -> int:
    """Carry out every case and print a row each; return 1 where one ended otherwise than it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a word of the case")
    parser.add_argument("--no-run", action="store_true", help="leave out the runs of all cases together")
    options = parser.parse_args()
    missed, cases = 0, [case for case in CASES if options.only.casefold() in case.name.casefold()]
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        (home / "outside").mkdir()
        tempfile.tempdir = str(home / "outside")
        for number, case in enumerate(cases):
            folder = home / f"{number}"
            folder.mkdir()
            if unmade := apart(make, case, folder):
                raise SystemExit(f"{case.name} could not be made: {unmade.fault}")
            end = apart(look, folder)
            fault = wrong(case, end)
            missed += bool(fault)
            said = "; ".join([f"{end.read} read"] * bool(end.read) + end.refused[:2]).replace(str(folder), "")
            took = f"{end.seconds:6.2f} s (CPU {end.cpu_seconds:.2f}) {end.mb:6.0f} MB {end.score_seconds:6.2f} s"
            row = printable(f"{case.name:<60.60} {took}  {said[:150]}")
            print(row + (f"  <-- MISSED: {fault}" if fault else ""), flush=True)
            shutil.rmtree(folder)
        print(f"{len(cases)} cases, {missed} ended otherwise than they should")
        if not options.no_run:
            from_the_start(home)
            # Of bytes changed at random, three of each kind: most are read, and take a scoring each.
            some = [case for case in cases if not re.search("random, ([3-9]|1.)$", case.name)]
            faults = one_run(home, some)
            missed += len(faults)
            print(
                "\n".join(printable(fault) for fault in faults)
                or "its tables name each case; the good images are as alone"
            )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
