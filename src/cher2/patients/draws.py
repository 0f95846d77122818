"""Which blood draws of a patient are counted.

A patient may have several samples. The protocol counts the first alone, or all pooled; which one is the first
is told by its date, or by the sample sheet's order where no draw of the patient has a date.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cher2.errors import SampleSheetError


@dataclass(frozen=True, eq=False)
class DrawChoice:
    """Which draws are counted, and what to say about it.

    Parameters
    ----------
    used : ndarray of bool, shape (number of draws,)
        By the draw's number.
    notes : dict of int to str
        In words, by the patient's number; only patients with several draws have one.
    """

    used: NDArray[np.bool_]
    notes: dict[int, str]


def number_draws(patient: NDArray[np.intp], sample: NDArray[np.object_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give every draw a number, in the order in which they first appear.

    Parameters
    ----------
    patient : ndarray of int, shape (N,)
        The patient's number.
    sample : ndarray of str, shape (N,)
        The sample's name; the same name under two patients is two draws.

    Returns
    -------
    draw : ndarray of int, shape (N,)
        The draw's number, from 0.
    owner : ndarray of int, shape (number of draws,)
        The patient of each draw.
    """
    names, distinct = pd.factorize(sample)
    draw, keys = pd.factorize(patient.astype(np.int64) * max(len(distinct), 1) + names)
    return draw, keys // max(len(distinct), 1)


def choose_draws(
    owner: NDArray[np.intp],
    dates: dict[int, str],
    names: list[str],
    rule: Literal["first", "pool"],
) -> DrawChoice:
    """Choose the draws that are counted.

    Parameters
    ----------
    owner : ndarray of int, shape (number of draws,)
        The patient of each draw; draws are numbered in the sheet's order.
    dates : dict of int to str
        ISO date of each draw that has one, by the draw's number.
    names : list of str
        The patients' names, for errors.
    rule : {"first", "pool"}

    Returns
    -------
    DrawChoice

    Raises
    ------
    SampleSheetError
        The first draw of a patient cannot be told: some are dated and some not, or a date is none.
    """
    number = np.bincount(owner, minlength=len(names))
    used = np.ones(len(owner), bool)
    if rule == "pool":
        return DrawChoice(used, {int(p): f"{number[p]} draws pooled" for p in np.flatnonzero(number > 1)})
    several = np.flatnonzero(number[owner] > 1)
    used[several] = False
    notes = {}
    draws_of: defaultdict[int, list[int]] = defaultdict(list)
    for draw, patient in zip(several.tolist(), owner[several].tolist(), strict=True):
        draws_of[patient].append(draw)
    for patient, draws in draws_of.items():
        first, how = _first_draw(draws, dates, names[patient])
        used[first] = True
        notes[patient] = f"first of {len(draws)} draws ({how})"
    return DrawChoice(used, notes)


def _first_draw(draws: list[int], dates: dict[int, str], name: str) -> tuple[int, str]:
    dated = [draw for draw in draws if draw in dates]
    if not dated:
        return draws[0], "by the sheet's order"
    if len(dated) < len(draws):
        raise SampleSheetError(
            f"{len(dated)} of the patient's {len(draws)} draws have a date: the first cannot be told",
            where=f"patient {name}",
            remedy='Fill in drawn_on for every draw or for none, or set patient.draws = "pool"',
        )
    when = {draw: _parse_date(dates[draw], name) for draw in draws}
    # min() keeps the earlier of two draws of one date: the one that stands first in the sheet.
    first = min(draws, key=when.__getitem__)
    tie = sum(moment == when[first] for moment in when.values()) > 1
    return first, f"{when[first].date()}{', by the order in the sheet' if tie else ''}"


def _parse_date(text: str, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None:
        raise SampleSheetError(
            f"drawn_on is {text!r}, which is no date",
            where=f"patient {name}",
            remedy="Write it as 2021-03-01",
        )
    return moment


def draw_dates(
    draw: NDArray[np.intp], drawn_on: NDArray[np.object_], owner: NDArray[np.intp], names: list[str]
) -> dict[int, str]:
    """Return the date of each draw that has one.

    Parameters
    ----------
    draw : ndarray of int, shape (N,)
        The draw of each row of the sheet.
    drawn_on : ndarray of str, shape (N,)
        The date that the row gives, or an empty string.
    owner : ndarray of int
        The patient of each draw.
    names : list of str
        The patients' names, for errors.

    Raises
    ------
    SampleSheetError
        One draw has two dates.
    """
    rows = pd.DataFrame({"draw": draw, "date": drawn_on})
    rows = rows[rows["date"] != ""].drop_duplicates()
    twice = rows[rows["draw"].duplicated(keep=False)]
    if len(twice):
        one = twice[twice["draw"] == twice["draw"].iloc[0]]
        raise SampleSheetError(
            f"one draw has two dates, {one['date'].iloc[0]} and {one['date'].iloc[1]}",
            where=f"patient {names[int(owner[one['draw'].iloc[0]])]}",
            remedy="Give each draw its own sample_id, or the draw one date",
        )
    return dict(zip(rows["draw"].tolist(), rows["date"].tolist(), strict=True))
