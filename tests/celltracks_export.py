"""Writes CellTracks exports from the facts in docs/formats.md: no real one is public.

What is written here is synthetic, and follows the description, not the reader.
"""

from __future__ import annotations

import numpy as np
import tifffile

FILTERS = ("DAPI", "HER2", "CK", "CD45")
"""The pages of a four-colour cartridge, in their order."""

DOCTYPE = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE archive SYSTEM "archive.dtd">\n'


def stretch(counts, bits=16):
    """Return a page as it is stored, and its limits: its darkest pixel is 0, its brightest the largest value."""
    low, high = int(counts.min()), int(counts.max())
    if high == low:
        return np.zeros(counts.shape, f"uint{bits}"), low, high
    values = np.rint((counts.astype(float) - low) * ((2**bits - 1) / (high - low)))
    return values.astype(f"uint{bits}"), low, high


def write_frame(path, pixels, *, bits=16, offset=0, without=(), limits=None, compression=None):
    """Write a frame (pages, Y, X) of counts.

    `offset` is added to the limits; `without` names (page, tag) that are left out; `limits` replaces those of a page.
    """
    with tifffile.TiffWriter(path) as tif:
        for number, page in enumerate(pixels):
            stored, low, high = stretch(page, bits)
            low, high = (limits or {}).get(number, (low + offset, high + offset))
            tags = [(754, "H", 1, 1, False), (755, "H", 1, low, False), (756, "H", 1, high, False)]
            tags = [tag for tag in tags if (number, tag[0]) not in without]
            tif.write(
                stored,
                photometric="minisblack",
                metadata=None,
                contiguous=False,
                extratags=tags,
                compression=compression,
            )


def place(number, columns):
    """Return row and column of a frame, by hand: rows are scanned to and fro."""
    row, steps = 0, number - 1
    while steps >= columns:
        row, steps = row + 1, steps - columns
    return row, (steps if row % 2 == 0 else columns - steps - 1)


def event(number, frame, corners, assigned="true"):
    """Return an event's record; `corners` are y0, x0, y1, x1 in the cartridge, the upper right one is written first."""
    y0, x0, y1, x1 = corners
    said = "" if assigned is None else f"<assigned>{assigned}</assigned>"
    return (
        f"<record><rid>{900 + number}</rid><eventnum>{number}</eventnum><framenum>{frame}</framenum>"
        f"<numselected>1</numselected>{said}<location>({x1},{y1}),({x0},{y0})</location></record>"
    )


def xml(grid, camera, *, filters=FILTERS, events=(), root="archive", head=DOCTYPE, run=None):
    """Return an export's XML; `grid` is rows and columns of frames, `camera` rows and columns of pixels."""
    said = {"numcols": grid[1], "numrows": grid[0], "camxsize": camera[1], "camysize": camera[0]} | (run or {})
    fields = "".join(f"<{name}>{value}</{name}>" for name, value in said.items() if value is not None)
    names = "".join(f"<record><filtername>{name}</filtername></record>" for name in filters)
    tables = f"<test_filters>{names}</test_filters>" if filters else ""
    if events is not None:
        tables += f"<events>{''.join(events)}</events>"
    others = "<patients><record><name/></record></patients>"
    return f"{head}<{root}>{others}<runs><record>{fields}</record></runs>{tables}</{root}>"


def write_export(folder, frames, grid, *, name="174182.1.2", text=None, **words):
    """Write a cartridge: frames (pages, Y, X) of counts in the order of their numbers, and the XML beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(frames, 1):
        write_frame(folder / f"{name}.{number:03d}.tif", pixels)
    camera = frames[0].shape[1:]
    path = folder / f"{name}.xml"
    path.write_text(xml(grid, camera, **words) if text is None else text, encoding="utf-8")
    return path
