"""Label images: read whole or not at all, and without a word."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from cher2.errors import ImageError
from cher2.study.label_file import read_labels, write_labels

LABELS = np.arange(300 * 20).reshape(300, 20) % 7


def test_what_was_written_is_read(tmp_path):
    write_labels(LABELS, tmp_path / "labels.tif")
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.tif"), LABELS)
    assert read_labels(tmp_path / "labels.tif").dtype == np.int32


def test_a_strip_that_is_gone_is_no_background(tmp_path, capfd, caplog):
    """Found by benchmarks/fuzz.py: tifffile filled it with zeros, and only logged it."""
    path = tmp_path / "labels.tif"
    write_labels(LABELS, path)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages.first.tags["StripByteCounts"].overwrite([*tif.pages.first.databytecounts[:-1], 0])
    with pytest.raises(ImageError, match="not all there"):
        read_labels(path)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@pytest.mark.parametrize("labels", [np.full((4, 4), 10**9, np.uint32), np.zeros((4, 4), np.float32)])
def test_what_cannot_be_labels_is_refused(tmp_path, labels):
    """A label of a billion takes eight gigabytes where objects are counted by their numbers."""
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    with pytest.raises(ImageError, match=r"more objects than pixels|it holds float32"):
        read_labels(tmp_path / "labels.tif")
