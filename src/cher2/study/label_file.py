"""Label images on the disk: ``labels.tif`` of an image's results."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRIP_ROWS = 128
"""Rows of a label image that are compressed together."""


def write_labels(labels: NDArray[Any], path: Path) -> None:
    """Write a label image as a TIFF of 16 bit, or of 32 where there are more labels than that.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
    path : Path
    """
    import tifffile

    whole = labels.astype(np.uint16 if labels.max(initial=0) < 2**16 else np.uint32)
    # Python's own zlib takes a quarter of the time that tifffile's choice takes on large areas of one value.
    strips = (zlib.compress(whole[top : top + STRIP_ROWS].tobytes(), 1) for top in range(0, len(whole), STRIP_ROWS))
    tifffile.imwrite(
        path,
        strips,
        shape=whole.shape,
        dtype=whole.dtype,
        compression="zlib",
        rowsperstrip=STRIP_ROWS,
        metadata=None,
    )
