"""How well nuclei are found on real images with human masks, without tuning to any image.

Run ``python benchmarks/nuclei_accuracy.py FOLDER [FOLDER ...]`` on folders of images ``X.png`` or ``X.tif`` with
masks ``X_labels.tif``: prints F1 at IoU 0.5 and the mean F1 over IoU 0.5 to 0.9, per folder; exits non-zero
below the mark of a known folder. The floor to beat, Otsu's threshold with a distance watershed, reaches 0.63 on
``nuclei_dsb2018`` and 0.75 on ``nuclei_mnfinder``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import tifffile
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix

from cher2.cells.segmentation import segment_nuclei
from cher2.images.reader import read_image

IOU_THRESHOLDS = np.arange(0.5, 0.91, 0.1)
MARKS = {"nuclei_dsb2018": 0.80, "nuclei_mnfinder": 0.92}


def matched(truth: np.ndarray, found: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Count, for each IoU threshold, the objects of `found` that match one of `truth`, one to one."""
    _, truth = np.unique(truth, return_inverse=True)
    _, found = np.unique(found, return_inverse=True)
    truth, found = truth.ravel(), found.ravel()
    overlap = coo_matrix((np.ones(truth.size), (truth, found))).toarray()
    union = overlap.sum(1, keepdims=True) + overlap.sum(0, keepdims=True) - overlap
    iou = (overlap / union)[1:, 1:]
    counts = []
    for threshold in thresholds:
        hits = iou >= threshold - 1e-9
        rows, columns = linear_sum_assignment(-(hits * 1.0))
        counts.append(int(hits[rows, columns].sum()))
    return np.array(counts)


def measure(folder: Path, pixel_size_um: float) -> tuple[int, np.ndarray, int, int]:
    """Return the number of images, the matches per threshold, the true and the found objects of a folder."""
    matches, n_true, n_found, n_images = np.zeros(len(IOU_THRESHOLDS)), 0, 0, 0
    for masks in sorted(folder.glob("*_labels.tif")):
        stem = masks.name.removesuffix("_labels.tif")
        path = next(p for p in folder.glob(stem + ".*") if p != masks)
        pixels = read_image(path).pixels
        plane = pixels.max(axis=0)
        truth = tifffile.imread(masks)
        found = segment_nuclei(plane, pixel_size_um)
        matches += matched(truth, found, IOU_THRESHOLDS)
        n_true += len(np.unique(truth)) - 1
        n_found += int(found.max())
        n_images += 1
    return n_images, matches, n_true, n_found


def main() -> int:
    """Measure every folder, print a line each; return 1 where a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--pixel-size-um", type=float, default=0.64, help="the sets do not tell theirs")
    arguments = parser.parse_args()
    missed = False
    print(f"{'set':<20}{'images':>8}{'nuclei':>8}{'found':>8}{'F1@0.5':>8}{'F1@.5-.9':>10}{'mark':>7}")
    for folder in arguments.folders:
        n_images, matches, n_true, n_found = measure(folder, arguments.pixel_size_um)
        if n_images == 0:
            print(f"{folder.name:<20} no image with masks here; give the folder as an argument")
            missed = True
            continue
        f1 = 2 * matches / (n_true + n_found)
        mark = MARKS.get(folder.name, 0.0)
        missed |= bool(f1[0] < mark)
        print(f"{folder.name:<20}{n_images:>8}{n_true:>8}{n_found:>8}{f1[0]:>8.3f}{f1.mean():>10.3f}{mark:>7.2f}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
