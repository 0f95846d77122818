"""Tables of objects that another program wrote: refused where their columns are not those of objects."""

from __future__ import annotations

import pyarrow
import pytest
from pyarrow import parquet

from cher2.errors import StudyError
from cher2.study.object_file import read_as_frame

SOUND = {"image": ["a.tif"], "object_id": [1], "y_px": [1.5], "kind": ["ctc"], "duplicate_of": [""]}


@pytest.mark.parametrize(
    ("names", "values", "says"),
    [
        ([*SOUND, "kind"], [*SOUND.values(), ["ctc"]], "the column kind twice"),
        (list(SOUND), [*list(SOUND.values())[:-1], [1.5]], "double in its column duplicate_of"),
        (list(SOUND), [["a.tif"], ["one"], *list(SOUND.values())[2:]], "string in its column object_id"),
        (list(SOUND), [pyarrow.array([None], pyarrow.string()), *list(SOUND.values())[1:]], "lacks values .* image"),
        (["image"], [["a.tif"]], "no column object_id"),
    ],
)
def test_columns_of_another_kind_are_refused(tmp_path, names, values, says):
    """Found by benchmarks/fuzz.py: they ended in an error of pandas, or in a table of floats for texts."""
    path = tmp_path / "objects.parquet"
    parquet.write_table(pyarrow.Table.from_arrays([pyarrow.array(v) for v in SOUND.values()], list(SOUND)), path)
    assert len(read_as_frame(path)) == 1
    parquet.write_table(pyarrow.Table.from_arrays([pyarrow.array(v) for v in values], names), path)
    with pytest.raises(StudyError, match=says):
        read_as_frame(path)
