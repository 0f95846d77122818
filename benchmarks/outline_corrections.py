"""How long a reader waits for a correction of outlines: one synthetic frame of 200 cells, twenty corrections.

Run ``python benchmarks/outline_corrections.py``. Each correction cuts one cell and adds another; it is measured, graded
and on the disk when the clock stops. Exits non-zero above the mark.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter

os.environ["OMP_NUM_THREADS"] = "1"

import cv2
import numpy as np
from marks import Figure, print_figures
from synthetic_frame import write_frame

from cher2.batch.run import run_study
from cher2.cells.segmented import segment_image
from cher2.images.files import find_image_files
from cher2.images.reader import read_frames
from cher2.review.outline_frame import load_outlines
from cher2.review.outline_saving import save_correction
from cher2.review.outlines import corrected_objects
from cher2.study.folder import Study

CELLS, CORRECTIONS = 200, 20
MOST_MS = 300.0


def main() -> int:
    """Score a frame, correct it, print the figures; return the exit code."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        images, home = Path(folder) / "images", Path(folder) / "study"
        (images / "P01").mkdir(parents=True)
        write_frame(images / "P01" / "frame.ome.tif", CELLS)
        run_study(images, home, workers=1)
        study = Study.open(home)
        (file,) = find_image_files(images, study.protocol)
        frame = next(iter(read_frames(file, study.protocol)))
        start = perf_counter()
        segmented = segment_image(frame, study.protocol)
        first = 1000 * (perf_counter() - start)
        outlines, saving, reading = load_outlines(study, frame.name), list[float](), list[float]()
        cells = np.unique(outlines.labels)[1:]
        for number in cells[:: len(cells) // CORRECTIONS][:CORRECTIONS].tolist():
            drawn = outlines.labels.copy()
            rows, columns = np.nonzero(drawn == number)
            drawn[rows[rows == rows.min()], columns[rows == rows.min()]] = 0
            free = np.argwhere(cv2.erode((drawn == 0).astype(np.uint8), np.ones((25, 25), np.uint8)))
            y, x = free[len(free) // 2]
            drawn[y - 6 : y + 6, x - 6 : x + 6] = drawn.max() + 1
            start = perf_counter()
            outlines = save_correction(outlines, drawn, segmented, "benchmark").outlines
            saving.append(1000 * (perf_counter() - start))
            start = perf_counter()
            corrected_objects(study, frame.name)
            reading.append(1000 * (perf_counter() - start))
    figures = [
        Figure("segment the frame, once", "ms", [first]),
        Figure("save, measure and grade a correction", "ms", saving, most=MOST_MS),
        Figure("read the table with all corrections", "ms", reading),
    ]
    return int(print_figures(f"{len(cells)} objects, {CORRECTIONS} corrections one after the other", figures))


if __name__ == "__main__":
    sys.exit(main())
