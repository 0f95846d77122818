"""Checks of a study's derived tables against each other and against its objects, before any of them is in its place.

They run whenever tables are derived; :mod:`cher2.guards` says what a check is.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterable
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd

from cher2.cells.object_guards import check_grades
from cher2.errors import Cher2FaultError, StudyError
from cher2.guards import fault, guard
from cher2.patients.roster import Roster
from cher2.protocol import Grade
from cher2.study.fingerprints import altered_files
from cher2.study.folder import Study
from cher2.study.provenance import read_provenance

_GRADES = [f"n_grade_{grade}" for grade in range(4)]


class CellCounts:
    """The CTCs of a study, counted once more as they go into ``cells.csv``: one by one.

    Parameters
    ----------
    study : Study
    """

    def __init__(self, study: Study) -> None:
        self._study, self._grade = study, study.protocol.grade
        self._of_sample: Counter[tuple[str, str, int]] = Counter()
        self._of_image: Counter[str] = Counter()

    def add(self, cells: pd.DataFrame) -> None:
        """Count some rows of ``cells.csv``.

        Raises
        ------
        Cher2FaultError
            An object has two rows, or a grade does not follow from its intensity.
        StudyError
            The grades are those of another protocol than the study has now.
        """
        once = ~cells.duplicated(["image", "object_id"])
        guard("cells-once", once, cells, "an object has two rows", columns=("image", "object_id"), where="cells.csv")
        _check_grades(cells, self._grade, self._study)
        single = cells[cells["duplicate_of"].eq("")]
        by_machine = single.loc[single["kind"].eq("ctc"), "image"].value_counts()
        self._of_image.update({str(image): int(count) for image, count in by_machine.items()})
        ctcs = single[single["kind_final"].eq("ctc")]
        grade = ctcs["grade"].fillna(ctcs["grade_auto"]).fillna(-1).astype("int64")
        keys = zip(ctcs["patient_id"].astype(str), ctcs["sample_id"].astype(str), grade.tolist(), strict=True)
        self._of_sample.update(keys)

    def check(self, patients: pd.DataFrame, images: pd.DataFrame, roster: Roster, corrected: Collection[str]) -> None:
        """Compare with the patients, and with what grading has counted in each image.

        Parameters
        ----------
        patients : DataFrame
            As in ``patients.csv``.
        images : DataFrame
            ``patient_id, sample_id, image, n_ctcs`` of each scored image; empty where an earlier cher2 counted none.
        roster : Roster
            Which draws count.
        corrected : collection of str
            Images with corrected outlines, whose CTCs may be others than grading has counted.

        Raises
        ------
        Cher2FaultError
            They differ.
        StudyError
            They differ, and files of the study were changed.
        """
        self._check_images(images[~images["image"].isin(list(corrected))])
        numbers = {name: number for number, name in enumerate(roster.names)}

        def counts(patient: str, sample: str) -> bool:
            draw = roster.draws.get((numbers.get(patient, -1), sample or patient))
            return draw is not None and bool(roster.used[draw])

        totals: dict[str, list[int]] = {name: [0] * 5 for name in roster.names}
        for (patient, sample, grade), count in self._of_sample.items():
            if counts(patient, sample):
                totals[patient][grade] += count
        expected = np.array([totals[name] for name in patients["patient_id"]], np.int64).reshape(-1, 5)
        same = (patients[_GRADES].to_numpy(np.int64) == expected[:, :4]).all(axis=1)
        same &= patients["n_ctcs"].to_numpy(np.int64) == expected.sum(axis=1)
        told = patients.assign(**{f"cells_{name}": expected[:, at] for at, name in enumerate(_GRADES)})
        columns = ("patient_id", "n_ctcs", *_GRADES, *(f"cells_{name}" for name in _GRADES))
        what = "a patient's counts are not those of cells.csv"
        guard("patients-of-cells", same, told, what, columns=columns, where="patients.csv")
        own = zip(images["patient_id"], images["sample_id"], strict=True)
        read = Counter(str(patient) for patient, sample in own if counts(str(patient), str(sample)))
        told = patients.assign(images_read=[read[name] for name in patients["patient_id"]])
        # Where only one draw counts, so do only its images.
        sound = patients["n_images"].isna() | (patients["n_images"] == told["images_read"])
        what = "a patient's images are not those that were read"
        columns = ("patient_id", "n_images", "images_read")
        guard("patients-of-images", sound.to_numpy(bool), told, what, columns=columns, where="patients.csv")

    def _check_images(self, images: pd.DataFrame) -> None:
        """Check that cells.csv has every CTC of the images' objects: as many as grading has counted in each."""
        graded = images["n_ctcs"].to_numpy(float)
        found = np.array([self._of_image[image] for image in images["image"]], float)
        told = images.assign(in_cells_csv=found)
        columns = ("image", "n_ctcs", "in_cells_csv")
        what = "the CTCs in cells.csv are not those that were graded"
        try:
            guard(
                "cells-of-images", np.isnan(graded) | (graded == found), told, what, columns=columns, where="cells.csv"
            )
        except Cher2FaultError:
            _refuse_altered(self._study, images["image"][graded != found])
            raise


def _check_grades(cells: pd.DataFrame, settings: Grade, study: Study) -> None:
    try:
        check_grades(cells, settings, "cells.csv")
    except Cher2FaultError:
        told = read_provenance(study.path).get("protocol")
        if not isinstance(told, dict) or told.get("fingerprint") != study.protocol.fingerprint():
            raise StudyError(
                "the cells were graded by another protocol than the study has now",
                where=str(study.path / "protocol.toml"),
                remedy="Run 'cher2 run' again with this protocol, which grades them anew",
            ) from None
        _refuse_altered(study, pd.unique(cells["image"]))
        raise


def _refuse_altered(study: Study, images: Iterable[str]) -> None:
    """Refuse results that something else than cher2 has changed: that is no fault of cher2."""
    for image in images:
        altered = altered_files(study.score_of(image) or {}, study.folder_of(image))
        if altered:
            raise StudyError(
                f"results of {image} were changed after they had been written: {', '.join(altered)}",
                where=str(study.path),
                remedy="'cher2 verify' names all that was changed; 'cher2 run' with --force scores the images again",
            )


def check_written(text: str, patients: pd.DataFrame) -> None:
    """Check ``patients.csv`` as it is about to be written: each ratio, in decimals, by the fraction of its counts.

    Parameters
    ----------
    text : str
        The whole file.
    patients : DataFrame
        What it was made of.

    Raises
    ------
    Cher2FaultError
    """
    rows = pd.DataFrame([*csv.DictReader(io.StringIO(text, newline=""))], columns=[*patients], dtype=str)
    same = len(rows) == len(patients)
    for name in ("patient_id", "group", "n_ctcs", *_GRADES, "n_her2_positive") if same else ():
        same = rows[name].tolist() == patients[name].astype(str).tolist()
        if not same:
            break
    if not same:
        counts = {"rows_of_file": len(rows), "rows_of_table": len(patients)}
        fault(
            "written-counts", "the file says other patients, counts or groups than the table", [counts], "patients.csv"
        )
    sound = [
        _decimal_is(ratio, int(two) + int(three), int(of))
        for ratio, two, three, of in zip(
            *(rows[name] for name in ("cher2_ratio", "n_grade_2", "n_grade_3", "n_her2_positive")), strict=True
        )
    ]
    columns = ("patient_id", "n_grade_2", "n_grade_3", "n_her2_positive", "cher2_ratio")
    what = "a written ratio is not the fraction of its written counts"
    guard("written-ratios", np.array(sound, np.bool_), rows, what, columns=columns, where="patients.csv")


def _decimal_is(written: str, strong: int, positive: int) -> bool:
    """Say whether a decimal is a fraction, to its last digit; empty for 0/0.

    Examples
    --------
    >>> _decimal_is("0.666667", 2, 3), _decimal_is("0.666666", 2, 3), _decimal_is("", 0, 0)
    (True, False, True)
    """
    if not positive:
        return written == ""
    if not written or not strong:
        return written == "0" and not strong
    # Half a unit of the sixth significant digit, to which tables are written.
    half = Fraction(10) ** (Decimal(written).adjusted() - 5) / 2
    return abs(Fraction(written) - Fraction(strong, positive)) <= half
