"""How far readers agree with each other and with the automatic grade, over the cells of a study."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cher2.cells.kappa import Weights
from cher2.cells.objects import GRADE_NAMES, GRADES
from cher2.cohorts.agreement import GradeAgreement, grade_agreement, krippendorffs_alpha, reader_kappa
from cher2.cohorts.results import Estimate
from cher2.errors import ReviewError
from cher2.review.ledger import Ledger
from cher2.review.readings import AUTOMATIC, CONSENSUS, readings_of

WORDS = (*GRADE_NAMES, "not a CTC", "not graded")
"""What can be said of a cell, in the order of a confusion table; "not graded" is a CTC without a grade."""

_NOT_A_CTC, _UNGRADED = len(GRADES), len(GRADES) + 1

FLATTERING = {
    AUTOMATIC: "A reader who saw the automatic grade agrees with it more than one who did not: the kappa of open "
    "readings with it is flattering",
    CONSENSUS: "A consensus was found with all grades in view: its kappa with the automatic grade is flattering",
}
ONE_SIDED = (
    "Whether a cell is a CTC was asked of the machine's CTCs, and of what readers took up beside them: it says little "
    "of CTCs that the machine missed"
)

KAPPAS: dict[Weights, str] = {"quadratic": "quadratic weighted kappa", "plain": "Cohen's kappa"}

Codes = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class PairAgreement:
    """How far two agree on the cells that both have judged.

    Parameters
    ----------
    first, second : str
        Their names; the machine's is :data:`~cher2.review.readings.AUTOMATIC`.
    reading : str
        blind: neither knew the automatic grade, nor the other's; open: one of them may have; consensus.
    rows : ndarray of int, shape (n,)
        The cells, as rows of the ledger's table.
    said : ndarray of int, shape (2, n)
        What each said, as places in :data:`WORDS`.
    patients : ndarray of str, shape (n,)
        Whose cells they are.
    grade : Estimate
        Quadratic weighted kappa of the grades, over the cells that both graded.
    ctc : Estimate
        Cohen's kappa of CTC or not.
    by_grade : GradeAgreement or None
        The agreement of each grade; None where no cell was graded by both.
    """

    first: str
    second: str
    reading: str
    rows: NDArray[np.intp]
    said: Codes
    patients: NDArray[np.object_]
    grade: Estimate
    ctc: Estimate
    by_grade: GradeAgreement | None

    @property
    def confusion(self) -> pd.DataFrame:
        """How many cells got each two words: a row each of the first's, a column each of the second's."""
        size = len(WORDS)
        counts = np.bincount(self.said[0] * size + self.said[1], minlength=size * size).reshape(size, size)
        # A CTC without a grade is rare; the table shows it only where there is one.
        kept = size if counts[_UNGRADED].any() or counts[:, _UNGRADED].any() else size - 1
        names = list(WORDS[:kept])
        return pd.DataFrame(
            counts[:kept, :kept], index=pd.Index(names, name=self.first), columns=pd.Index(names, name=self.second)
        )

    def examples(self, first: str, second: str) -> NDArray[np.intp]:
        """Return the cells to which the first gave one word and the second another.

        Parameters
        ----------
        first, second : str
            Words of :data:`WORDS`, such as ``"1+"`` and ``"2+"``.

        Returns
        -------
        ndarray of int
            Rows of the ledger's table of cells.

        Raises
        ------
        ReviewError
            There is no such word.
        """
        for word in (first, second):
            if word not in WORDS:
                raise ReviewError(
                    f"{word!r} is nothing that is said of a cell", remedy=f"It is one of {', '.join(WORDS)}"
                )
        meant = (self.said[0] == WORDS.index(first)) & (self.said[1] == WORDS.index(second))
        return np.asarray(self.rows[meant])


@dataclass(frozen=True, eq=False)
class StudyAgreement:
    """How far the readers of a study agree.

    Parameters
    ----------
    pairs : tuple of PairAgreement
        Each two readers, then each reader, and the consensus, with the machine; blind and open apart.
    alphas : tuple of (reading, Estimate)
        Krippendorff's alpha of all readers' grades: of blind readings, and of all; only where there are two readers.
    disagreements : int
        Cells on which readers differ, and nobody has settled it.
    settled : int
        Cells with a consensus.
    """

    pairs: tuple[PairAgreement, ...]
    alphas: tuple[tuple[str, Estimate], ...]
    disagreements: int
    settled: int

    def pair(self, first: str, second: str, reading: str) -> PairAgreement | None:
        """Return the agreement of two by their names, or None where they have no such cell in common."""
        named = (pair for pair in self.pairs if (pair.first, pair.second, pair.reading) == (first, second, reading))
        return next(named, None)

    def notes(self) -> list[str]:
        """Return what must be known before the numbers are believed."""
        with_machine = [pair for pair in self.pairs if pair.second == AUTOMATIC]
        said = [FLATTERING[AUTOMATIC]] if any(pair.reading == "open" for pair in with_machine) else []
        said += [FLATTERING[CONSENSUS]] if any(pair.first == CONSENSUS for pair in with_machine) else []
        warned = (item for pair in self.pairs for item in (*pair.grade.warnings, *pair.ctc.warnings))
        return [*said, ONE_SIDED, *dict.fromkeys(warned)]


def study_agreement(ledger: Ledger, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> StudyAgreement:
    """Return how far the readers of a study agree with each other and with the machine.

    Parameters
    ----------
    ledger : Ledger
    level, resamples, seed
        Of the intervals, by a bootstrap of patients; as in :func:`cher2.cohorts.agreement.reader_kappa`.

    Returns
    -------
    StudyAgreement

    Raises
    ------
    ReviewError
        No reader has judged a cell.
    """
    readings = readings_of(ledger)
    if readings.empty:
        raise ReviewError(
            "no reader has judged a cell of this study",
            where=str(ledger.study.path),
            remedy="Grade cells with 'cher2 review', or bring decisions in with 'cher2 import'",
        )
    grades = readings["grade"].astype("Float64").to_numpy(float, na_value=_UNGRADED)
    said = readings.assign(said=np.where(readings["kind"] == "ctc", grades, _NOT_A_CTC).astype(np.intp))
    bootstrap = _Bootstrap(level, resamples, seed)
    histories = ledger.histories().values()
    return StudyAgreement(
        tuple(bootstrap.compared(*pair) for pair in _paired(said, ledger)),
        tuple(_alphas(said[said["reading"] != "consensus"], bootstrap)),
        sum(history.disagreement for history in histories),
        sum(history.settled for history in histories),
    )


def _paired(said: pd.DataFrame, ledger: Ledger) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    """Yield each two names and their reading, with ``row, patient_id, said_x, said_y`` of the cells in common."""
    of = {str(name): words for name, words in said[said["reading"] != "consensus"].groupby("reader")}
    for first, second in combinations(of, 2):
        both = of[first].merge(of[second][["row", "said", "reading"]], on="row")
        blind = (both["reading_x"] == "blind") & (both["reading_y"] == "blind")
        yield from ((first, second, "blind", both[blind]),) if blind.any() else ()
        yield from ((first, second, "open", both[~blind]),) if not blind.all() else ()
    machine = {row: _machine_word(ledger, row) for row in said["row"].unique().tolist()}
    with_machine = said.rename(columns={"said": "said_x"}).assign(said_y=said["row"].map(machine))
    for reader, by_reading in with_machine.groupby("reader"):
        for reading, both in by_reading.groupby("reading"):
            yield str(reader), AUTOMATIC, str(reading), both


def _machine_word(ledger: Ledger, row: int) -> int:
    kind, grade = ledger.machine(row)
    return _NOT_A_CTC if kind != "ctc" else _UNGRADED if grade is None else grade


def _alphas(said: pd.DataFrame, bootstrap: _Bootstrap) -> Iterator[tuple[str, Estimate]]:
    """Yield alpha of the blind readings, and of all where there are others, if any cell was read twice."""
    blind = said[said["reading"] == "blind"]
    for reading, table in (("blind", blind), ("open", said if len(blind) < len(said) else said[:0])):
        graded = table[table["said"] < _NOT_A_CTC]
        wide = graded.pivot(index="row", columns="reader", values="said")
        if (wide.notna().sum(axis=1) >= 2).any():
            patients = graded.drop_duplicates("row").set_index("row")["patient_id"].reindex(wide.index)
            alpha = krippendorffs_alpha(wide.to_numpy(float).T, patients=patients, **asdict(bootstrap))
            yield reading, alpha


@dataclass(frozen=True)
class _Bootstrap:
    """How intervals are found."""

    level: float
    resamples: int
    seed: int

    def compared(self, first: str, second: str, reading: str, both: pd.DataFrame) -> PairAgreement:
        said = both[["said_x", "said_y"]].to_numpy(np.intp).T
        patients = both["patient_id"].to_numpy(object)
        grades = np.where(said < _NOT_A_CTC, said, np.nan)
        graded = not np.isnan(grades).any(axis=0).all()
        return PairAgreement(
            first,
            second,
            reading,
            both["row"].to_numpy(np.intp),
            said,
            patients,
            self._kappa(grades, "quadratic", patients, "" if graded else "no cell was graded by both"),
            self._kappa(
                (said != _NOT_A_CTC).astype(float), "plain", patients, _why_no_kappa(said != _NOT_A_CTC, first, second)
            ),
            grade_agreement(grades[0], grades[1], patients=patients, **asdict(self)) if graded else None,
        )

    def _kappa(self, words: NDArray[np.float64], weights: Weights, patients: ArrayLike, reason: str) -> Estimate:
        if not reason:
            return reader_kappa(words[0], words[1], weights, patients=patients, **asdict(self))
        name = KAPPAS[weights]
        none = float("nan")
        return Estimate(name, none, none, none, self.level, name, reason, {"cells compared": 0})


def _why_no_kappa(ctc: NDArray[np.bool_], first: str, second: str) -> str:
    """Say why kappa of CTC or not tells nothing: where one says the same of every cell it is 0, whatever the other."""
    for name, words in zip((first, second), ctc, strict=True):
        if words.all() or not words.any():
            return f"{name} took {'every' if words.all() else 'no'} cell for a CTC"
    return ""
