"""The agreement of readers as text and as a table, for the terminal and for ``agreement.csv``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cher2.cells.objects import GRADE_NAMES
from cher2.cohorts.results import Estimate
from cher2.review.agreement import PairAgreement, StudyAgreement

COLUMNS = (
    *("first", "second", "reading", "measure", "first_said", "second_said"),
    *("cells", "value", "ci_low", "ci_high", "patients", "method", "reason"),
)


def agreement_table(found: StudyAgreement) -> pd.DataFrame:
    """Return one row a number, for ``agreement.csv``.

    Returns
    -------
    DataFrame
        ``first, second, reading``: who is compared, and how they read; ``measure``: grade kappa, CTC kappa, specific
        agreement (of the grade in ``first_said``), confusion (``cells`` to which they said ``first_said`` and
        ``second_said``) or alpha; ``cells``, ``patients``: how many were compared; ``value, ci_low, ci_high``;
        ``method``; ``reason``: why a number is missing.
    """
    rows = [row for pair in found.pairs for row in _pair_rows(pair)]
    for reading, alpha in found.alphas:
        rows.append({"first": "(all readers)", "reading": reading, "measure": "alpha", **_numbers(alpha)})
    rows.append({"measure": "cells on which readers disagree, not settled", "cells": found.disagreements})
    rows.append({"measure": "cells settled by consensus", "cells": found.settled})
    texts = ("first", "second", "reading", "measure", "first_said", "second_said", "method", "reason")
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table = table.assign(**{name: table[name].fillna("") for name in texts})
    return table.astype(dict.fromkeys(("cells", "patients"), "Int64"))


def agreement_text(found: StudyAgreement) -> str:
    """Return the agreement as a page of text."""
    lines = [_overview(found).to_string(index=False)]
    lines += [
        f"All readers, {reading} readings: {_interval(alpha)}, {alpha.quantity}" for reading, alpha in found.alphas
    ]
    lines.append(f"Disagreements that nobody has settled: {found.disagreements} cells; settled: {found.settled}.")
    for pair in found.pairs:
        lines += ["", f"{pair.first} (rows) and {pair.second} (columns), {pair.reading} readings, cells:"]
        lines.append(pair.confusion.rename_axis(index=None, columns=None).to_string())
    return "\n".join([*lines, "", *(f"Note: {note}." for note in found.notes())])


def _overview(found: StudyAgreement) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "first": pair.first,
                "second": pair.second,
                "reading": pair.reading,
                "cells": len(pair.rows),
                "same": f"{100 * float(np.mean(pair.said[0] == pair.said[1])):.0f} %",
                "kappa of grades": _interval(pair.grade),
                "kappa of CTC or not": _interval(pair.ctc),
            }
            for pair in found.pairs
        ]
    )


def _interval(estimate: Estimate) -> str:
    if estimate.reason:
        return f"none: {estimate.reason}"
    if np.isinf(estimate.low):
        return f"{estimate.value:.3f} (no interval)"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def _pair_rows(pair: PairAgreement) -> Iterator[dict[str, object]]:
    who = {"first": pair.first, "second": pair.second, "reading": pair.reading}
    yield who | {"measure": "grade kappa", **_numbers(pair.grade)}
    yield who | {"measure": "CTC kappa", **_numbers(pair.ctc)}
    by_grade = pair.by_grade.to_frame().to_dict("records") if pair.by_grade else []
    for row in by_grade:
        limits = {"value": row["agreement"], "ci_low": row["low"], "ci_high": row["high"], "reason": row["reason"]}
        name = GRADE_NAMES[row["grade"]]
        said = {"measure": "specific agreement", "first_said": name, "second_said": name, "cells": row["both"]}
        yield who | said | limits
    for first, counts in pair.confusion.iterrows():
        for second, cells in counts.items():
            yield who | {"measure": "confusion", "first_said": first, "second_said": second, "cells": cells}


def _numbers(estimate: Estimate) -> dict[str, object]:
    limits = {"ci_low": estimate.low, "ci_high": estimate.high}
    no_interval = bool(np.isinf(estimate.low))
    if no_interval:
        # The limits are then those of the scale, which is no interval.
        limits = dict.fromkeys(limits, float("nan"))
    return {
        "cells": estimate.sizes.get("cells compared"),
        "patients": estimate.sizes.get("patients"),
        "value": estimate.value,
        **limits,
        "method": estimate.method,
        "reason": "; ".join(estimate.warnings) if no_interval else estimate.reason,
    }
