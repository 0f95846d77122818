"""Every reader of cher2 as a function of a folder: it ends in a sound result or in one of cher2's own errors.

What is sound is asserted here: an AssertionError is a finding as much as an error of a library's.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from mutations import mutated
from sound_inputs import Sound

from cher2.batch.verify import verify_study
from cher2.cohorts.comparison import compare_cohorts
from cher2.cohorts.group_survival import survival_by_group
from cher2.errors import Cher2Error
from cher2.exchange.decision_rows import read_rows
from cher2.exchange.import_decisions import import_decisions
from cher2.images.description import describe, description_lines
from cher2.images.files import ImageFile, find_image_files
from cher2.images.reader import open_frames, read_frames
from cher2.protocol import Protocol
from cher2.report.derive import derive, read_clinical
from cher2.review.decisions_csv import decisions_csv
from cher2.review.ledger import Ledger
from cher2.review.open_log import open_log
from cher2.review.outline_frame import load_outlines
from cher2.review.outlines import corrected_objects, lost_corrections
from cher2.review.reader_view import ReaderView
from cher2.review.results import study_readings
from cher2.study.folder import Study
from cher2.study.graded import match_graded, read_graded
from cher2.study.samples import COLUMNS, assign_samples

PROTOCOL = Protocol.from_dict({})
SHEET_IMAGES = ("a.tif", "b.tif", "c.tif")


def read_images(folder: Path) -> None:
    """Find, describe and read every image of a folder; the first error of the first image that has one comes last."""
    errors = []
    for file in find_image_files(folder, PROTOCOL):
        with suppress(Cher2Error), open_frames(file, PROTOCOL) as frames:
            "\n".join(description_lines(describe(file, frames, PROTOCOL))).encode()
        try:
            _check_images(file)
        except Cher2Error as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _check_images(file: ImageFile) -> None:
    for image in read_frames(file, PROTOCOL):
        assert image.pixels.dtype in (np.uint8, np.uint16, np.float32), image.pixels.dtype
        assert image.pixels.ndim == 3
        assert image.pixels.size > 0
        assert np.isfinite(image.pixels).all()
        assert len(image.channels) in (0, len(image.pixels)), image.channels
        assert image.pixel_size_um is None or 0 < image.pixel_size_um < np.inf, image.pixel_size_um


def read_protocol(folder: Path) -> None:
    """Read a protocol; what was read is written and read as the same."""
    protocol = Protocol.load(folder / "protocol.toml")
    again = Protocol.from_toml(protocol.to_toml())
    assert again == protocol
    assert again.fingerprint() == protocol.fingerprint()


def read_samples(folder: Path) -> None:
    """Read a sample sheet of three images."""
    files = [ImageFile(name, (folder / name,)) for name in SHEET_IMAGES]
    table = assign_samples(files, folder, folder / "samples.csv")
    assert list(table) == list(COLUMNS)
    assert sorted(table["image"]) == sorted(SHEET_IMAGES)
    assert (table["patient_id"].str.strip() != "").all()


def read_clinical_table(folder: Path) -> None:
    """Read a clinical table and compare the cohorts of twelve patients by it."""
    protocol = Protocol.from_dict({})
    clinical = read_clinical(folder / "clinical.csv", protocol)
    patients = pd.read_csv(folder / "patients.csv", dtype=str)
    table = compare_cohorts(patients, clinical, protocol).table
    assert table["p_value"].dropna().between(0, 1).all()
    assert (table["p_adjusted"].dropna() >= table["p_value"][table["p_adjusted"].notna()] - 1e-12).all()
    known = table.dropna(subset=["odds_ratio", "ci_low", "ci_high"])
    assert ((known["ci_low"] <= known["odds_ratio"]) & (known["odds_ratio"] <= known["ci_high"])).all()
    survival = survival_by_group(patients, clinical, protocol).table
    assert survival.select_dtypes("number").notna().any(axis=None)


def read_decisions(folder: Path) -> None:
    """Read a table of decisions, as decisions and as graded cells; bring them into the log of a study."""
    path = folder / "decisions.csv"
    for reader in ("", "Ada"):
        with suppress(Cher2Error):
            rows, _ = read_rows(path, reader)
            assert all(str(row) for row in rows)
    study = Study(folder / "study")
    with suppress(Cher2Error):
        match_graded(study, read_graded(path), "counts")
    with closing(open_log(study)) as log:
        before = len(log.entries())
        try:
            done = import_decisions(study, log, path, "Ada")
        except Cher2Error:
            assert len(log.entries()) == before, "a file that was refused left decisions"
            raise
        assert len(log.entries()) == before + done.stored
        assert not log.broken_entries()


def read_results(folder: Path) -> None:
    """Derive a study's tables, and see its first image as the review does."""
    study = Study.open(folder)
    image = study.samples["image"].iloc[0]
    errors = []
    for look in (load_outlines, corrected_objects, lost_corrections, _ledger, _tables):
        try:
            look(study, image)
        except Cher2Error as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _tables(study: Study, _: str) -> None:
    patients = derive(study).patients
    assert (patients["n_ctcs"] >= 0).all()
    assert patients["cher2_ratio"].dropna().between(0, 1).all()
    assert patients["group"].isin(["high", "low", "excluded", "undefined"]).all()
    known = patients.dropna(subset=["cher2_ratio"])
    assert (known["ratio_low"] <= known["cher2_ratio"]).all()
    assert (known["cher2_ratio"] <= known["ratio_high"]).all()


def _ledger(study: Study, image: str) -> None:
    ReaderView(Ledger(study, (), {image}), "Ada", "sample")


def read_study(folder: Path) -> None:
    """Derive a study's tables and verify it."""
    with suppress(Cher2Error):
        read_results(folder)
    verification = verify_study(folder, sample=0, workers=1)
    assert str(verification)


def read_reviews(folder: Path) -> None:
    """Read the log of decisions and put them to the study's cells; add one of them anew."""
    study = Study.open(folder)
    with closing(open_log(study)) as log:
        log.broken_entries()
        log.bookmark("Ada")
        entries = log.entries()
        decisions_csv(entries)
        study_readings(study, entries)
        ledger = Ledger(study, entries)
        ReaderView(ledger, "Ada", "sample")
        added = log.append([ledger.decision_on(0, "note", "Ada", ledger.machine(0), ledger.machine(0), reason="x")])
        assert added[0].entry > max((entry.entry for entry in entries), default=0)


@dataclass(frozen=True)
class Reader:
    """A reader and its part of the inputs.

    Parameters
    ----------
    read : callable
        Takes a folder with an input.
    share : int
        Of 1,000 inputs, so many are this reader's; a study takes a hundred times as long as a sheet.
    """

    read: Callable[[Path], None]
    share: int


READERS: Mapping[str, Reader] = {
    "tiff": Reader(read_images, 190),
    "ome": Reader(read_images, 100),
    "raster": Reader(read_images, 90),
    "celltracks": Reader(read_images, 90),
    "omezarr": Reader(read_images, 90),
    "nd2": Reader(read_images, 50),
    "lif": Reader(read_images, 50),
    "czi": Reader(read_images, 50),
    "protocol": Reader(read_protocol, 100),
    "samples": Reader(read_samples, 90),
    "clinical": Reader(read_clinical_table, 30),
    "decisions": Reader(read_decisions, 30),
    "objects": Reader(read_results, 8),
    "score": Reader(read_results, 8),
    "labels": Reader(read_results, 5),
    "outlines": Reader(read_results, 6),
    "study": Reader(read_study, 5),
    "reviews": Reader(read_reviews, 8),
}


@dataclass(frozen=True)
class Input:
    """A hostile input: a sound one with one file changed."""

    sound: Sound
    path: str
    content: bytes

    def write(self, folder: Path) -> None:
        """Write it, in place of whatever was in the folder."""
        shutil.rmtree(folder, ignore_errors=True)
        for path, content in (dict(self.sound.files) | {self.path: self.content}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)


def hostile_input(reader: str, sounds: list[Sound], seed: int, number: int) -> Input:
    """Return an input of a reader; the same seed and number give the same one."""
    chance = random.Random(f"{reader} {seed} {number}")
    sound = chance.choice(sounds)
    path = chance.choice(sorted(sound.targets))
    return Input(sound, path, mutated(sound.targets[path], sound.files[path], chance))


def read_hostile(reader: str, hostile: Input, folder: Path) -> str:
    """Write an input and read it.

    Returns
    -------
    str
        The words of cher2's error; empty where a result came out.
    """
    hostile.write(folder)
    try:
        READERS[reader].read(folder)
    except Cher2Error as error:
        words = str(error)
        assert words.strip()
        assert "\n" not in words
        return words
    return ""
