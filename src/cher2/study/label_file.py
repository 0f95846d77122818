"""Label images on the disk: ``labels.tif`` of an image's results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cher2.errors import ImageError
from cher2.images.library_faults import LIBRARY_FAULTS, library_faults
from cher2.images.pages import check_alike, check_bytes
from cher2.protocol import LARGEST_LIMIT

STRIP_ROWS = 128
"""Rows of a label image that are compressed together."""

LEVEL = 2
"""Of zlib-ng: 1 gives three times the bytes, more saves little. The files are such as any zlib reads."""

_REMEDY = "Run 'cher2 run' again with --force"


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


def read_labels(path: Path) -> NDArray[np.int32]:
    """Read a label image that :func:`write_labels` wrote, whole: what is not all there is no background.

    Parameters
    ----------
    path : Path

    Returns
    -------
    ndarray of int32, shape (Y, X)

    Raises
    ------
    ImageError
        The file is not there, is cut or damaged, or holds something else.
    """
    import tifffile

    faults = (*LIBRARY_FAULTS, tifffile.TiffFileError)
    with library_faults("it cannot be read as a label image", str(path), _REMEDY, faults):
        with tifffile.TiffFile(path, is_ndpi=False, is_lsm=False, is_scanimage=False) as tif:
            page = tif.pages.first
            if page.ndim != 2 or page.dtype not in (np.uint16, np.uint32):
                raise ImageError(f"it holds {page.dtype} of shape {page.shape}", where=str(path), remedy=_REMEDY)
            check_alike((0,), [page], LARGEST_LIMIT, str(path))
            check_bytes(page, 0, path.stat().st_size, str(path))
            labels = page.asarray()
        if labels.max(initial=0) > labels.size:
            raise ImageError("it has more objects than pixels", where=str(path), remedy=_REMEDY)
        return labels.astype(np.int32)
