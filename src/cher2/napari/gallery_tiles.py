"""How one cell of the gallery is painted: its picture, a border that tells its grade, and a caption."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from qtpy.QtCore import QModelIndex, QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QPixmap, QPolygonF
from qtpy.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem, QWidget
from zict import LRU

from cher2.napari.gallery_model import CellState, GalleryModel
from cher2.palette import CHANNEL_COLOURS, GRADE_COLOURS, KIND_COLOURS
from cher2.report.cell_pictures import CellPicture, CellPlace, Channel, show_picture

TILE_PX = 84
"""Side of a picture on the screen."""

_BORDER_PX, _MARGIN_PX, _CAPTION_PX = 3, 4, 16
_PIXMAP_BYTES = 2**25
_UNGRADED, _NOTHING, _ALARM, _SELECTED = "#e8e8e8", "#15171b", "#ff3b30", "#5c007acc"
_NO_CTC_OPACITY = 0.45


class _Look(NamedTuple):
    """How a state looks: made once a state, for thousands of cells share a few."""

    border: QPen
    caption: str
    colour: QColor
    opacity: float


@lru_cache(maxsize=256)
def _look(state: CellState) -> _Look:
    name = _UNGRADED
    if not state.hidden:
        if state.kind != "ctc":
            name = KIND_COLOURS.get(state.kind, KIND_COLOURS["other"])
        elif state.grade is not None:
            name = GRADE_COLOURS[state.grade]
    pen = QPen(QColor(name), _BORDER_PX if state.reviewed else 1.5)
    pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
    if not state.reviewed:
        pen.setStyle(Qt.PenStyle.CustomDashLine)
        pen.setDashPattern([3.0, 3.0])
    faint = state.kind != "ctc" and not state.hidden
    caption = f"{state.caption} ✓".strip() if state.reviewed else state.caption
    return _Look(pen, caption, QColor(name), _NO_CTC_OPACITY if faint else 1.0)


class CellDelegate(QStyledItemDelegate):
    """Paints the cells of a :class:`~cher2.napari.gallery_model.GalleryModel`, when its view says so.

    The view does not let Qt call it cell by cell: each call would wait for the threads that load pictures to let go
    of Python's lock, and 50 waits make a stutter.

    Parameters
    ----------
    model : GalleryModel
    parent : QWidget
        The view, whose resolution is used.
    colours : mapping of role to str
        The channels' colours in a composite.
    """

    def __init__(self, model: GalleryModel, parent: QWidget, colours: Mapping[str, str] = CHANNEL_COLOURS) -> None:
        super().__init__(parent)
        self._model = model
        self._view = parent
        self._colours = colours
        self._channel: Channel = "composite"
        self._pixmaps: LRU[CellPlace, QPixmap] = LRU(_PIXMAP_BYTES, {}, weight=lambda _, p: 4 * p.width() * p.height())
        side = TILE_PX + 2 * (_BORDER_PX + _MARGIN_PX)
        self._size = QSize(side, side + _CAPTION_PX)

    @property
    def tile_size(self) -> QSize:
        """The room of one cell with border and caption."""
        return self._size

    @property
    def channel(self) -> Channel:
        """What the pictures show."""
        return self._channel

    @channel.setter
    def channel(self, channel: Channel) -> None:
        self._channel = channel
        self._pixmaps.clear()

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:  # noqa: N802 - Qt's name
        """Return the size of every cell: they are all alike."""
        return self._size

    def paint_cell(self, painter: QPainter, room: QRect, position: int, selected: bool, ink: QColor) -> None:
        """Paint one cell.

        Parameters
        ----------
        painter : QPainter
        room : QRect
            Where, of the size :attr:`tile_size`.
        position : int
            The cell's place in the model.
        selected : bool
        ink : QColor
            Of the caption, and of the frame around the current cell.
        """
        state, place = self._model.state(position), self._model.place(position)
        look = _look(state)
        inset = _BORDER_PX + _MARGIN_PX
        tile = QRect(room.left() + inset, room.top() + inset, TILE_PX, TILE_PX)
        if selected:
            painter.fillRect(room.adjusted(1, 1, -1, -1), QColor(_SELECTED))
        self._paint_picture(painter, tile, place, look.opacity)
        self._paint_border(painter, tile, look, state.unsaved)
        text = QRect(tile.left() - _BORDER_PX, tile.bottom() + 1 + _BORDER_PX, TILE_PX + 2 * _BORDER_PX, _CAPTION_PX)
        painter.setPen(ink)
        painter.drawText(text, int(Qt.AlignmentFlag.AlignCenter), look.caption)
        if self._model.row(position) == self._model.current:
            painter.setPen(QPen(ink, 2))
            painter.drawRect(room.adjusted(1, 1, -2, -2))

    def _paint_picture(self, painter: QPainter, tile: QRect, place: CellPlace, opacity: float) -> None:
        pixmap = self._pixmap(place)
        if pixmap is not None:
            painter.setOpacity(opacity)
            painter.drawPixmap(tile, pixmap)
            painter.setOpacity(1.0)
            return
        painter.fillRect(tile, QColor(_NOTHING))
        if self._model.loader.fault(place) is not None:
            painter.setPen(QColor(_UNGRADED))
            flags = int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap)
            painter.drawText(tile, flags, "image not found")

    def _paint_border(self, painter: QPainter, tile: QRect, look: _Look, unsaved: bool) -> None:
        painter.setPen(look.border)
        half = look.border.widthF() / 2
        painter.drawRect(QRectF(tile).adjusted(-half, -half, half, half))
        if unsaved:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            corner = QRectF(tile).topRight()
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(_ALARM))
            painter.drawPolygon(QPolygonF([corner, corner - QPointF(26, 0), corner + QPointF(0, 26)]))
            painter.setPen(QColor("white"))
            painter.drawText(QRectF(corner.x() - 14, corner.y(), 14, 15), int(Qt.AlignmentFlag.AlignCenter), "!")
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _pixmap(self, place: CellPlace) -> QPixmap | None:
        ratio = self._view.devicePixelRatioF()
        side = round(TILE_PX * ratio)
        kept = self._pixmaps.get(place)
        if kept is not None and kept.width() == side:
            return kept
        picture = self._model.loader.picture(place)
        if picture is None:
            return kept
        pixmap = _as_pixmap(picture, self._channel, side, self._colours)
        pixmap.setDevicePixelRatio(ratio)
        self._pixmaps[place] = pixmap
        return pixmap


def _as_pixmap(picture: CellPicture, channel: Channel, side: int, colours: Mapping[str, str]) -> QPixmap:
    pixels = show_picture(picture, channel, side, colours).tobytes()
    return QPixmap.fromImage(QImage(pixels, side, side, 3 * side, QImage.Format.Format_RGB888))
