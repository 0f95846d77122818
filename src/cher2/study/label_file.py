"""Label images on the disk: ``labels.tif`` of an image's results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRIP_ROWS = 128
"""Rows of a label image that are compressed together."""

LEVEL = 2
"""Of zlib-ng: 1 gives three times the bytes, more saves little. The files are such as any zlib reads."""


def write_labels(labels: NDArray[Any], path: Path) -> None:
    """Write a label image as a TIFF of 16 bit, or of 32 where there are more labels than that.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
    path : Path
    """
    import imagecodecs
    import tifffile

    whole = labels.astype(np.uint16 if labels.max(initial=0) < 2**16 else np.uint32)
    # On large areas of one value zlib-ng takes a quarter of zlib's time, and zlib a quarter of tifffile's choice.
    encode = imagecodecs.zlibng_encode if imagecodecs.ZLIBNG.available else imagecodecs.zlib_encode
    strips = (bytes(encode(whole[top : top + STRIP_ROWS].tobytes(), LEVEL)) for top in range(0, len(whole), STRIP_ROWS))
    tifffile.imwrite(
        path,
        strips,
        shape=whole.shape,
        dtype=whole.dtype,
        compression="zlib",
        rowsperstrip=STRIP_ROWS,
        metadata=None,
    )
