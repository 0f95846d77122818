"""What the widget shows of scored frames: a layer of outlines, its table, and a summary in words."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd

from cher2.cells.objects import GRADE_NAMES, GRADES
from cher2.napari.palettes import outline_colours
from cher2.napari.reader import METADATA, LayerData
from cher2.napari.scoring import ScoredFrames
from cher2.palette import GRADE_COLOURS, GROUP_COLOURS
from cher2.patients.summary import summarise_patients

LAYER_NAME = "cher2 grades"
NOT_GRADED = "not graded"

FEATURES = (
    "kind", "grade", "her2_intensity", "diameter_um", "ck_mean", "cd45_mean", "dapi_mean", "failed_gate",
    "p0", "p1", "p2", "p3",
)  # fmt: skip


def grades_layer(scored: ScoredFrames) -> LayerData:
    """Return the labels as a layer: outlines in the colour of the grade, faint where it is no CTC."""
    grades = [None if pd.isna(grade) else int(grade) for grade in scored.objects["grade_auto"]]
    settings = {
        "name": LAYER_NAME,
        "features": features_table(scored),
        "colormap": outline_colours(scored.objects["kind"].tolist(), grades),
        "opacity": 1.0,
        "metadata": {METADATA: {"layer": LAYER_NAME, "protocol": scored.protocol.to_toml()}},
        **scored.frames.placement,
    }
    return scored.labels, settings, "labels"


def features_table(scored: ScoredFrames) -> pd.DataFrame:
    """Return the table beside the labels; row k is label k, for napari takes a row's position for its label.

    Row 0 is the background. Only a CTC has a grade.
    """
    objects = scored.objects
    is_ctc = (objects["kind"] == "ctc").to_numpy()
    names = [NOT_GRADED if pd.isna(grade) else GRADE_NAMES[int(grade)] for grade in objects["grade_auto"]]
    table = objects.assign(grade=np.where(is_ctc, names, ""))
    columns = [*(("frame",) if scored.frames.is_stack else ()), *FEATURES]
    background: dict[str, Any] = {
        name: "" if table[name].dtype.kind in "OSUT" else (0 if name == "frame" else np.nan) for name in columns
    }
    background["kind"] = "background"
    first = pd.DataFrame([background]).astype(dict(table[columns].dtypes))
    return pd.concat([first, table[columns]], ignore_index=True)


def summary_rows(scored: ScoredFrames) -> list[tuple[str, str]]:
    """Return what was found, as pairs of a title and words.

    The group is by the protocol's rules for patients, as if these frames were the patient's whole sample.
    """
    patient = _as_patient(scored)
    single = scored.objects[scored.objects["duplicate_of"] == ""]
    kinds = single["kind"].value_counts()
    rows = [("CTCs", str(patient["n_ctcs"]))]
    rows += [(f"Grade {GRADE_NAMES[grade]}", str(patient[f"n_grade_{grade}"])) for grade in GRADES]
    ungraded = single.loc[single["kind"] == "ctc"].query("grade_auto.isna()")["not_graded"]
    if len(ungraded):
        rows.append(("Not graded", f"{len(ungraded)}: {ungraded.iloc[0]}"))
    rows.append(("cHER2 ratio", _ratio(patient)))
    rows.append(("Group", f"{patient['group']}, of {_shown(scored)} alone"))
    rows.append(("Reason", str(patient["reason"])))
    rows.append(("Leukocytes", str(int(kinds.get("leukocyte", 0)))))
    rows.append(("Other objects", str(int(kinds.get("other", 0)))))
    rows.append(("Gates", _gates(scored)))
    rows.append(("Pixel size", _pixel_size(scored)))
    return rows


def summary_html(rows: list[tuple[str, str]]) -> str:
    """Return the summary as a table for a rich-text label, grades and group beside their colours."""
    colours = {f"Grade {GRADE_NAMES[grade]}": GRADE_COLOURS[grade] for grade in GRADES}
    lines = []
    for title, words in rows:
        colour = GROUP_COLOURS[words.split(",")[0]] if title == "Group" else colours.get(title, "")
        square = f'<span style="color:{colour}">&#9632;</span> ' if colour else ""
        lines.append(
            f'<tr><td style="white-space:nowrap; padding-right:10px">{square}{escape(title)}</td>'
            f"<td>{escape(words)}</td></tr>"
        )
    return f"<table>{''.join(lines)}</table><p><i>For research use only</i></p>"


def _as_patient(scored: ScoredFrames) -> pd.Series[Any]:
    who = "the frames shown"
    frames = pd.DataFrame({"image": [scored.frames.frame_name(k) for k in range(len(scored.frames))]})
    cells = scored.objects.drop(columns="sample_id").assign(patient_id=who)
    return summarise_patients(cells, scored.protocol, frames.assign(patient_id=who)).iloc[0]


def _ratio(patient: pd.Series[Any]) -> str:
    if pd.isna(patient["cher2_ratio"]):
        return "undefined: no HER2+ CTC"
    low, high = patient["ratio_low"], patient["ratio_high"]
    return f"{patient['cher2_ratio']:.2f} (95 % interval {low:.2f} to {high:.2f})"


def _shown(scored: ScoredFrames) -> str:
    count = len(scored.frames)
    return "this frame" if count == 1 else f"these {count} frames"


def _gates(scored: ScoredFrames) -> str:
    gates, settings = scored.gates, scored.protocol.identify
    named = (
        ("DAPI+ from", gates.dapi_min, settings.dapi_min),
        ("CK+ from", gates.ck_min, settings.ck_min),
        ("CD45− up to", gates.cd45_max, settings.cd45_max),
    )
    words = [f"{title} {value:.0f} ({'auto' if set_ == 'auto' else 'set'})" for title, value, set_ in named]
    return f"{', '.join(words)} counts above background; found from {gates.source}"


def _pixel_size(scored: ScoredFrames) -> str:
    size = scored.frames.pixel_size_um
    if size:
        return f"{size:g} µm, from the image"
    return f"{scored.protocol.image.pixel_size_um:g} µm, from the protocol: the image gives none"
