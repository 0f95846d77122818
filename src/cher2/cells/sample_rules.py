"""By what a sample was graded, kept to grade further objects of it by: none of it changes with a few objects more."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cher2.cells.flat_field import FlatField, apply_flat_field
from cher2.cells.grading import grade_objects
from cher2.cells.identification import Gates, identify
from cher2.cells.objects import with_types
from cher2.protocol import Protocol


@dataclass(frozen=True)
class SampleRules:
    """What a graded sample fixes for any object of it.

    Parameters
    ----------
    gates : Gates
        The gates that were in force.
    flat_field : FlatField
        The uneven illumination that was taken out.
    reference : tuple of float, float and str
        What is 0 and what is 1 in the protocol's unit of HER2, in counts, and why there is none; see
        :func:`cher2.cells.grading.intensity_reference`.
    """

    gates: Gates
    flat_field: FlatField
    reference: tuple[float, float, str]


def grade_by_rules(measured: pd.DataFrame, rules: SampleRules, protocol: Protocol) -> pd.DataFrame:
    """Identify and grade some objects of a sample that is graded already.

    Parameters
    ----------
    measured : DataFrame
        The objects as they were measured, not corrected for uneven illumination, with ``patient_id``,
        ``sample_id`` and ``duplicate_of``.
    rules : SampleRules
    protocol : Protocol
        Its sections ``identify`` and ``grade``.

    Returns
    -------
    DataFrame
        The rows with every column of :data:`cher2.cells.objects.COLUMNS`: for an object of the sample, those that
        :func:`cher2.cells.score.grade_sample` gave.
    """
    table = apply_flat_field(measured, rules.flat_field)
    table = pd.concat([table, identify(table, rules.gates, protocol.identify)], axis=1)
    table = pd.concat([table, grade_objects(table, protocol.grade, rules.reference)], axis=1)
    return with_types(table)
