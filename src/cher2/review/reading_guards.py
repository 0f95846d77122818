"""Check that final kinds and grades are those in force: a reader's word where there is one, else the machine's.

It runs whenever readers' decisions are laid over objects; :mod:`cher2.guards` says what a check is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.cells.objects import GRADES, KINDS
from cher2.guards import guard
from cher2.review.standing import CellStanding

_COLUMNS = ("image", "object_id", "kind", "kind_final", "grade_auto", "grade", "reader")


def check_final(final: pd.DataFrame, standings: Mapping[tuple[str, int], CellStanding]) -> None:
    """Check objects with ``kind_final, grade, reader, reviewed_at`` against the decisions on them.

    Parameters
    ----------
    final : DataFrame
        As :func:`cher2.review.results.with_final` gives it.
    standings : mapping of (str, int) to CellStanding
        How the cells stand that a reader has judged, by image and object.

    Raises
    ------
    Cher2FaultError
    """
    grade, machine = (_grades(final[name]) for name in ("grade", "grade_auto"))
    kind = final["kind_final"].to_numpy(object)
    known = np.isin(kind, KINDS) & np.isin(grade, (-1, *GRADES))
    guard("final-values", known, final, "a cell is of no kind or grade", columns=_COLUMNS)
    unread = (final["reader"] == "").to_numpy(bool) & (final["reviewed_at"] == "").to_numpy(bool)
    sound = unread & (kind == final["kind"].to_numpy(object)) & (grade == machine)
    if standings:
        keys = zip(final["image"].tolist(), final["object_id"].tolist(), strict=True)
        # The last of two rows of one object would hide the first, which then is not as it stands.
        rows = {key: row for row, key in enumerate(keys)}
        readers = final["reader"].tolist()
        for key, standing in standings.items():
            if (row := rows.get(key)) is not None:
                given = -1 if standing.grade is None else standing.grade
                sound[row] = (kind[row], grade[row], readers[row]) == (standing.kind, given, standing.reader)
    guard("final-in-force", sound, final, "a final kind or grade is not the one in force", columns=_COLUMNS)


def _grades(column: pd.Series) -> NDArray[np.int64]:
    """Return grades as whole numbers, -1 for none."""
    return np.asarray(column.astype("Int64").to_numpy(np.int64, na_value=-1), np.int64)
