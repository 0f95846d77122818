"""Pictures of a study's cells: their frames found again and read, and the contrast that all of them share.

Frames are read one at a time and kept within a bound of bytes, so that ten cells of a frame cost one reading and
a study of any size costs the same memory. All is safe to use from several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple
from weakref import WeakValueDictionary

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from zict import LRU

from cher2.errors import Cher2Error, ImageError
from cher2.images.files import ImageFile, find_image_files
from cher2.images.image import Image
from cher2.images.places import shown, within
from cher2.images.reader import read_frame
from cher2.palette import CHANNEL_COLOURS
from cher2.protocol import Grade, Role
from cher2.report.thumbnails import (
    HER2_WHITE_OVER_CUTOFF,
    TILE_PX,
    CellThumbnail,
    Levels,
    Rgb,
    cell_thumbnail,
    channel_levels,
    coloured,
    grey,
    shared_contrast,
)
from cher2.study.folder import Study, file_of
from cher2.study.provenance import file_digest, file_stamp, read_provenance

Channel = Role | Literal["composite"]
"""What a picture shows: one channel in grey, or all in colour."""

FRAMES_BYTES = 2**27
"""Most bytes of frames that are kept: 11 of 1036 x 1384 pixels in four channels of 16 bit."""

CONTRAST_IMAGES, CONTRAST_CELLS = 12, 4
"""Images, and cells of each, that fix a study's contrast."""

_WHERE_NOW = "Name the folder that holds the images now: cher2 review STUDY --images FOLDER"


class CellPlace(NamedTuple):
    """Where a cell is: its frame, as tables call it, and its centroid in pixels."""

    image: str
    y_px: float
    x_px: float


def cell_places(cells: pd.DataFrame) -> list[CellPlace]:
    """Return where the cells of a table are, from its columns ``image``, ``y_px`` and ``x_px``."""
    columns = (cells[name].tolist() for name in CellPlace._fields)
    return [CellPlace(*place) for place in zip(*columns, strict=True)]


class StudyFrames:
    """The frames that a study was scored from, wherever they are now.

    Parameters
    ----------
    study : Study
        A study with results.
    images : Path, optional
        The folder of its images; where it is not given, the one that they were scored in.
    most_bytes : int
        Most bytes of frames that are kept.
    """

    def __init__(self, study: Study, images: Path | None = None, most_bytes: int = FRAMES_BYTES) -> None:
        self._study = study
        self._images = images
        self.protocol = study.protocol
        self._kept: LRU[str, Image] = LRU(most_bytes, {}, weight=lambda _, image: image.pixels.nbytes)
        self._lock = threading.Lock()
        self._found: tuple[dict[str, ImageFile], str] | None = None
        self._reading: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._as_scored: set[str] = set()

    def frame(self, image: str) -> Image:
        """Return one frame, as it was scored.

        Parameters
        ----------
        image : str
            What tables call it.

        Raises
        ------
        ImageError
            It is not found, cannot be read, or is another than was scored; names the image and the remedy.
        """
        with self._lock:
            gate = self._reading.setdefault(image, threading.Lock())
        # Two threads that want one frame read it once; other frames do not wait.
        with gate:
            kept = self._kept.get(image)
            if kept is None:
                kept = self._kept[image] = self._read(image)
        return kept

    def planes(self, image: str) -> dict[Role, NDArray[Any]]:
        """Return the channels (Y, X) of one frame by role, in camera counts; errors as :meth:`frame`."""
        return self.frame(image).planes(self.protocol.channels)

    def pixel_size_um(self, image: str) -> float:
        """Return the side of a frame's pixels; the protocol's where the file gives none."""
        return self.frame(image).pixel_size_um or self.protocol.image.pixel_size_um

    def thumbnail(self, place: CellPlace, size_um: float = 32.0) -> CellThumbnail:
        """Cut a cell out of its frame; see :func:`~cher2.report.thumbnails.cell_thumbnail`.

        Raises
        ------
        ImageError
            As :meth:`frame`, or the cell lies outside it.
        """
        frame = self.frame(place.image)
        pixel_size_um = frame.pixel_size_um or self.protocol.image.pixel_size_um
        return cell_thumbnail(frame.planes(self.protocol.channels), place.y_px, place.x_px, pixel_size_um, size_um)

    def _read(self, image: str) -> Image:
        file, number = self._file_of(image)
        self._check_as_scored(file, image)
        frame = read_frame(file, number, self.protocol)
        if frame.name != image:
            raise _changed(image)
        return frame

    def _file_of(self, image: str) -> tuple[ImageFile, int]:
        """Return a frame's file, and its number in it."""
        with self._lock:
            if self._found is None:
                self._found = self._find_files()
            files, why = self._found
        # A name may end in "#3" without being the third frame of a stack.
        if image in files:
            return files[image], 0
        name = file_of(image)
        if name not in files:
            raise ImageError(f"the image is not found: {why}", where=image, remedy=_WHERE_NOW)
        return files[name], int(image[len(name) + 1 :]) - 1

    def _find_files(self) -> tuple[dict[str, ImageFile], str]:
        """Return the image files by name, and in words why one that is not among them is not found."""
        scored_in = read_provenance(self._study.path).get("images", "")
        if self._images is None and not scored_in:
            return {}, "the study does not say where its images are"
        try:
            folder = self._images or within(self._study.path, scored_in)
            files = find_image_files(folder, self.protocol)
        except Cher2Error as error:
            return {}, f"{error.what} ({error.where})"
        return {file.name: file for file in files}, f"it is not in {shown(folder)}"

    def _check_as_scored(self, file: ImageFile, image: str) -> None:
        """Refuse a file with other bytes than were scored: its cells would be shown where there are none."""
        if file.name in self._as_scored:
            return
        source = (self._study.score_of(image) or {}).get("source", {})
        known = "digest" in source
        if known and source.get("stamp") != file_stamp(file) and source["digest"] != file_digest(file):
            raise _changed(image)
        self._as_scored.add(file.name)


def _changed(image: str) -> ImageError:
    return ImageError(
        "the file has changed since it was scored",
        where=image,
        remedy="Put the scored file back, or run 'cher2 run' again",
    )


def study_contrast(frames: StudyFrames, cells: pd.DataFrame) -> dict[Role, float]:
    """Return the counts above background that are shown white, one number a channel for a whole study.

    Parameters
    ----------
    frames : StudyFrames
    cells : DataFrame
        The study's objects; where there are CTCs among them (column ``kind``), only those count.

    Returns
    -------
    dict of role to float
        HER2: see :func:`her2_white`. The others: :func:`~cher2.report.thumbnails.shared_contrast` of up to
        :data:`CONTRAST_CELLS` cells in each of :data:`CONTRAST_IMAGES` images, spread evenly over those that can
        be read; the same cells give the same numbers.
    """
    shown = cells[cells["kind"] == "ctc"] if "kind" in cells and (cells["kind"] == "ctc").any() else cells
    ordered = shown.sort_values(["image", "y_px", "x_px"], kind="stable").reset_index(drop=True)
    rows_of = list(ordered.groupby("image", sort=True).indices.values())
    places = cell_places(ordered)
    thumbnails: list[CellThumbnail] = []
    images = 0
    # Multiples of the golden ratio: however soon it stops, the images are spread over the whole study.
    for number in np.argsort(np.arange(len(rows_of)) * 0.6180339887498949 % 1):
        rows = rows_of[number]
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(CONTRAST_CELLS, len(rows))).round().astype(int))]
        try:
            thumbnails += [frames.thumbnail(places[row]) for row in chosen]
        except ImageError:
            # Each cell says so where it is shown.
            continue
        images += 1
        if images == CONTRAST_IMAGES:
            break
    return shared_contrast(thumbnails, her2_white(shown, frames.protocol.grade))


def her2_white(cells: pd.DataFrame, grade: Grade) -> float | None:
    """Return the counts of HER2 above background that are shown white: 1.5 times the cut-off of 3+.

    A cut-off in a unit of leukocytes is another count in each sample: the median over the samples is taken, each
    got back from the counts and intensities of its cells, which the unit ties by a straight line.

    Parameters
    ----------
    cells : DataFrame
        With ``sample_id``, ``her2_mean`` and ``her2_intensity``, where the unit is not counts.
    grade : Grade
        The protocol's unit and cut-offs.

    Returns
    -------
    float or None
        None where no sample has graded cells enough to tell, or leukocytes are so dim that it is not above 0.
    """
    highest = grade.cutoffs[-1]
    if grade.unit == "counts":
        return HER2_WHITE_OVER_CUTOFF * highest
    graded = cells[np.isfinite(cells["her2_intensity"]) & np.isfinite(cells["her2_mean"])]
    found = []
    for _, sample in graded.groupby("sample_id"):
        counts = sample["her2_mean"].to_numpy(float)
        units = sample["her2_intensity"].to_numpy(float)
        if grade.unit == "leukocyte_ratio":
            # Through the origin: one cell is enough, and the brightest tells best.
            counts, units = np.append(counts, 0.0), np.append(units, 0.0)
        low, high = np.argmin(units), np.argmax(units)
        if units[high] > units[low]:
            scale = (counts[high] - counts[low]) / (units[high] - units[low])
            found.append(counts[low] + scale * (highest - units[low]))
    white = HER2_WHITE_OVER_CUTOFF * float(np.median(found)) if found else 0.0
    return white if white > 0 else None


@dataclass(frozen=True, eq=False)
class CellPicture:
    """A cell small enough to keep thousands: its channels on the study's contrast, 0 to 255."""

    levels: Levels

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels."""
        return sum(level.nbytes for level in self.levels.values())


def cell_picture(thumbnail: CellThumbnail, white: Mapping[Role, float], most_px: int = TILE_PX) -> CellPicture:
    """Return a cell as a small picture: with the frame's own pixels, but not more than `most_px` of them a side."""
    own_px = max(1, round(thumbnail.size_um / thumbnail.pixel_size_um))
    return CellPicture(channel_levels(thumbnail, white, min(own_px, most_px)))


def show_picture(
    picture: CellPicture, channel: Channel, side_px: int, colours: Mapping[str, str] = CHANNEL_COLOURS
) -> Rgb:
    """Return a picture as it is painted (side_px, side_px, 3): one channel in grey, or all in colour."""
    shown = coloured(picture.levels, colours) if channel == "composite" else grey(picture.levels[channel])
    method = cv2.INTER_AREA if side_px < len(shown) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(shown, (side_px, side_px), interpolation=method), dtype=np.uint8)
