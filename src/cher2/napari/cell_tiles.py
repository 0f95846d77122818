"""One cell large: a tile a channel and one in colour, in one contrast for all cells, with outline and scale bar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPainterPath, QPaintEvent, QPen, QPixmap, QPolygonF, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget
from skimage.measure import find_contours

from cher2.napari.cell_facts import luminance
from cher2.napari.layer_roles import ROLE_TITLES
from cher2.palette import CHANNEL_COLOURS
from cher2.protocol import ROLES, Role
from cher2.report.thumbnails import SCALE_BAR_UM, CellThumbnail, Rgb, composite, grey_tile

COLOUR = "colour"
"""The tile of all channels together."""

AUTO, WARNING_COLOUR = "auto contrast", "#e3b617"

_GAP_PX = 4
_TOP, _BOTTOM = 2, 3  # tiles in the upper row, which are large, and in the lower
_READABLE = 0.25
_TEXT_PX, _SMALL_TEXT_PX, _WIDE_PX = 12, 11, 140


class CellTiles(QWidget):
    """HER2 and the composite above, the other channels below; as large as the widget has room for.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._thumbnail: CellThumbnail | None = None
        self._outline: list[NDArray[np.float64]] = []
        self._message = ""
        self._white: dict[Role, float] = {}
        self._shown: tuple[Role, ...] = ROLES
        self._auto = False
        self._with_outline = True
        self._pixmaps: dict[tuple[str, int], QPixmap] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_thumbnail(
        self, thumbnail: CellThumbnail | None, outline: NDArray[np.bool_] | None = None, message: str = ""
    ) -> None:
        """Show a cell, or in its place a message.

        Raises
        ------
        ValueError
            The outline has not the shape of the crops.
        """
        if thumbnail is not None and outline is not None:
            shapes = {crop.shape for crop in thumbnail.crops.values()}
            if shapes - {outline.shape}:
                raise ValueError(f"an outline of shape {outline.shape} for crops of {sorted(shapes)}")
        self._thumbnail, self._message = thumbnail, message
        # A rim of nothing closes the outline of a body that reaches the edge of the crop.
        self._outline = [] if outline is None else [c - 1 for c in find_contours(np.pad(outline, 1).astype(float), 0.5)]
        self._redraw()

    def set_white(self, white: Mapping[Role, float]) -> None:
        """Set the counts above background that are shown white, the same for every cell."""
        self._white = dict(white)
        self._redraw()

    def set_auto_contrast(self, auto: bool) -> None:
        """Stretch every tile to its own brightest pixel, so that cells can no longer be compared."""
        self._auto = auto
        self._redraw()

    def set_channels_shown(self, roles: Sequence[Role]) -> None:
        """Show these channels alone, in their tiles and in the composite."""
        self._shown = tuple(role for role in ROLES if role in roles)
        self._limit_height()
        self._redraw()

    def set_outline_shown(self, shown: bool) -> None:
        """Draw the outline of the body, or not."""
        self._with_outline = shown
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802  (Qt's name)
        """Return a size at which the tiles fill the widget."""
        return QSize(360, 304)

    def minimumSizeHint(self) -> QSize:  # noqa: N802  (Qt's name)
        """Return the size below which a cell cannot be judged."""
        return QSize(240, 204)

    def tiles(self) -> dict[str, QRectF]:
        """Return where each tile is painted, by role or "colour"."""
        upper, lower = self._names()[:_TOP], self._names()[_TOP:]
        share = _height_share(lower)
        width = int(min(self.width(), (self.height() - (_GAP_PX if lower else 0)) / share))
        left, top, places = (self.width() - width) // 2, 0, {}
        for row, number in ((upper, _TOP), (lower, _BOTTOM)):
            side = (width - (number - 1) * _GAP_PX) // number
            for k, name in enumerate(row):
                places[name] = QRectF(left + k * (side + _GAP_PX), top, side, side)
            top += side + _GAP_PX
        return places

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802  (Qt's name)
        """Paint the tiles, or the message."""
        painter = QPainter(self)
        _set_size(painter, _TEXT_PX)
        if self._thumbnail is None:
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._message)
        else:
            for name, place in self.tiles().items():
                self._paint_tile(painter, self._thumbnail, name, place)
        painter.end()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802  (Qt's name)
        """Take no more height than the tiles fill: what stands below follows at once."""
        super().resizeEvent(event)
        self._limit_height()

    def _limit_height(self) -> None:
        lower = self._names()[_TOP:]
        self.setMaximumHeight(math.ceil(self.width() * _height_share(lower)) + (_GAP_PX if lower else 0))

    def _names(self) -> list[str]:
        return [name for name in ("her2", COLOUR, "dapi", "ck", "cd45") if name == COLOUR or name in self._shown]

    def _redraw(self) -> None:
        self._pixmaps.clear()
        self.update()

    def _paint_tile(self, painter: QPainter, thumbnail: CellThumbnail, name: str, place: QRectF) -> None:
        painter.fillRect(place, QColor("black"))
        _set_size(painter, _TEXT_PX if place.width() >= _WIDE_PX else _SMALL_TEXT_PX)
        missing = name != COLOUR and name not in thumbnail.crops
        if not missing:
            side = max(1, round(place.width() * self.devicePixelRatioF()))
            if (name, side) not in self._pixmaps:
                self._pixmaps[name, side] = _pixmap(self._pixels(thumbnail, name, side), self.devicePixelRatioF())
            painter.drawPixmap(place.topLeft(), self._pixmaps[name, side])
            self._paint_outline(painter, thumbnail, place)
            _paint_scale(painter, thumbnail, place)
        self._paint_words(painter, name, place, "no such channel" if missing else self._white_words(name))

    def _pixels(self, thumbnail: CellThumbnail, name: str, side: int) -> Rgb:
        crops = {role: crop for role, crop in thumbnail.crops.items() if role in self._shown}
        white = self._white_of(crops)
        if name == COLOUR:
            return composite(replace(thumbnail, crops=crops), white, side)
        role = next(role for role in ROLES if role == name)
        return grey_tile(thumbnail, role, white, side)

    def _white_of(self, crops: Mapping[Role, NDArray[np.float32]]) -> dict[Role, float]:
        """Return the level of white; a channel of which the caller said nothing has its own brightest."""
        return {
            role: max(float(crop.max()), 1.0) if self._auto or role not in self._white else self._white[role]
            for role, crop in crops.items()
        }

    def _white_words(self, name: str) -> str:
        if name == COLOUR:
            return ""
        fixed = [white for role, white in self._white.items() if role == name]
        return f"white {fixed[0]:.0f}" if fixed and not self._auto else AUTO

    def _paint_outline(self, painter: QPainter, thumbnail: CellThumbnail, place: QRectF) -> None:
        if not (self._with_outline and self._outline):
            return
        side = len(next(iter(thumbnail.crops.values())))
        magnification = place.width() * thumbnail.pixel_size_um / thumbnail.size_um
        path = QPainterPath()
        for contour in self._outline:
            y, x = (contour + 0.5 - side / 2).T * magnification + place.width() / 2
            corners = zip((x + place.left()).tolist(), (y + place.top()).tolist(), strict=True)
            path.addPolygon(QPolygonF([QPointF(*corner) for corner in corners]))
        painter.save()
        painter.setClipRect(place)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(255, 255, 255, 190), 1))
        painter.drawPath(path)
        painter.restore()

    def _paint_words(self, painter: QPainter, name: str, place: QRectF, below: str) -> None:
        # In a narrow tile the words stand above the scale bar, not beside it.
        inner = place.adjusted(5, 3, -5, -3 if place.width() >= _WIDE_PX else -11)
        title, colour = ("Colour", "#ffffff") if name == COLOUR else _title(name)
        for text, ink, corner in (
            (title, colour, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft),
            (
                below,
                WARNING_COLOUR if below == AUTO else "#d0d0d0",
                Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignRight,
            ),
        ):
            # Readable on a bright cell too.
            painter.setPen(QColor("black"))
            painter.drawText(inner.translated(1, 1), corner, text)
            painter.setPen(QColor(ink))
            painter.drawText(inner, corner, text)


def _height_share(lower: Sequence[str]) -> float:
    """Return the height of the tiles over their width, without the gap."""
    return 1 / _TOP + (1 / _BOTTOM if lower else 0)


def _title(name: str) -> tuple[str, str]:
    """Return a channel's title and the colour of its text: its own, lightened until it can be read on black."""
    role = next(role for role in ROLES if role == name)
    colour = QColor(CHANNEL_COLOURS[role])
    while luminance(colour.name()) < _READABLE:
        mixed = [round(part + 0.1 * (255 - part)) for part in (colour.red(), colour.green(), colour.blue())]
        colour = QColor(*mixed)
    return ROLE_TITLES[role], colour.name()


def _set_size(painter: QPainter, pixels: int) -> None:
    font = painter.font()
    font.setPixelSize(pixels)
    painter.setFont(font)


def _paint_scale(painter: QPainter, thumbnail: CellThumbnail, place: QRectF) -> None:
    length = SCALE_BAR_UM * place.width() / thumbnail.size_um
    painter.fillRect(QRectF(place.left() + 6, place.bottom() - 8, length, 3), QColor("white"))
    if place.width() >= _WIDE_PX:
        painter.setPen(QColor("white"))
        painter.drawText(QPointF(place.left() + 6, place.bottom() - 12), f"{SCALE_BAR_UM:g} µm")


def _pixmap(pixels: Rgb, ratio: float) -> QPixmap:
    height, width, _ = pixels.shape
    pixmap = QPixmap.fromImage(QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888))
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
