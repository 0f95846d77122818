import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.transforms import Affine2D
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QColor, QWheelEvent
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from cher2.napari.cell_scatter import BLIND_COLOUR, NO_CTC_COLOUR, CellScatter, final_colours
from cher2.napari.scatter_canvas import AsinhTicks
from cher2.palette import GRADE_COLOURS

LEFT = Qt.MouseButton.LeftButton
# ck, her2: a grid on which no two points are near
CK = np.array([-20.0, 0, 20, 100, 500, 2000])
HER2 = np.array([-10.0, 40, 90, 200, 500, 1500])


def table(ck=CK, her2=HER2):
    n = len(ck)
    grade = pd.array(np.searchsorted([30, 110, 340], her2, side="right"), dtype="Int8")
    other = {"cd45_mean": np.linspace(-5, 5, n), "dapi_mean": np.linspace(100, 900, n)}
    return pd.DataFrame(
        {"kind": "ctc", "grade_auto": grade, "ck_mean": ck, "her2_intensity": her2, "diameter_um": 12.0, **other}
    )


@pytest.fixture
def scatter(qtbot):
    widget = CellScatter()
    qtbot.addWidget(widget)
    widget.resize(480, 480)
    widget.show()
    qtbot.waitExposed(widget)
    widget.set_cells(table())
    settle()
    return widget


def settle():
    for _ in range(5):
        QApplication.processEvents()


def place(scatter, row):
    return scatter.canvas.position(row).toPoint()


def lasso(scatter, qtbot, corners):
    """Draw around corners with the mouse."""
    canvas = scatter.canvas
    qtbot.mousePress(canvas, LEFT, pos=corners[0])
    for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        for part in np.linspace(0, 1, 6)[1:]:
            qtbot.mouseMove(canvas, start + (end - start) * part)
    qtbot.mouseRelease(canvas, LEFT, pos=corners[0])
    settle()


def around(points, room=12):
    x, y = [p.x() for p in points], [p.y() for p in points]
    left, right, top, bottom = min(x) - room, max(x) + room, min(y) - room, max(y) + room
    return [QPoint(left, top), QPoint(right, top), QPoint(right, bottom), QPoint(left, bottom)]


def colour_at(widget, point):
    # a screen of high density has more pixels than the widget
    return QColor(widget.grab().toImage().scaled(widget.size()).pixel(point)).name()


def heard(signal):
    values = []
    signal.connect(values.append)
    return values


def test_a_click_takes_the_nearest_point_within_six_pixels(scatter, qtbot):
    chosen, selected = heard(scatter.cell_chosen), heard(scatter.selection_changed)
    for row in (0, 3, 5):
        qtbot.mouseClick(scatter.canvas, LEFT, pos=place(scatter, row) + QPoint(3, -3))
    assert chosen == [0, 3, 5]
    qtbot.mouseClick(scatter.canvas, LEFT, pos=place(scatter, 3) + QPoint(9, 0))
    assert chosen == [0, 3, 5]
    assert selected == []


def test_a_lasso_takes_what_it_surrounds(scatter, qtbot):
    chosen, selected = heard(scatter.cell_chosen), heard(scatter.selection_changed)
    lasso(scatter, qtbot, around([place(scatter, row) for row in (2, 3, 4)]))
    assert [rows.tolist() for rows in selected] == [[2, 3, 4]]
    assert chosen == []
    assert "3 selected" in scatter.status.text()
    # the lasso itself goes
    assert scatter.canvas._lasso.artists[0].get_visible() is False


def test_an_empty_lasso_clears_and_so_does_the_button(scatter, qtbot):
    scatter.select([1, 2])
    selected = heard(scatter.selection_changed)
    empty = QPoint(place(scatter, 0).x() + 20, place(scatter, 5).y() + 10)
    lasso(scatter, qtbot, around([empty], room=15))
    assert [rows.tolist() for rows in selected] == [[]]
    scatter.select([1, 2])
    qtbot.mouseClick(scatter.clear_button, LEFT)
    assert [rows.tolist() for rows in selected] == [[], []]
    assert not scatter.clear_button.isEnabled()


def test_a_selection_from_outside_is_painted_and_not_sent_back(scatter):
    selected, chosen = heard(scatter.selection_changed), heard(scatter.cell_chosen)
    at = place(scatter, 4)
    assert colour_at(scatter.canvas, at) == GRADE_COLOURS[3]
    scatter.select([4])
    ink = scatter.palette().windowText().color().name()
    assert colour_at(scatter.canvas, at) == ink
    assert colour_at(scatter.canvas, place(scatter, 3)) == GRADE_COLOURS[2]
    scatter.set_current(3)
    beside = [place(scatter, 3) + QPoint(12, down) for down in (-1, 0, 1)]
    drawn = [QColor(colour_at(scatter.canvas, at)).lightness() for at in beside]
    assert max(drawn) - min(drawn) > 60
    scatter.set_current(-1)
    assert len({colour_at(scatter.canvas, at) for at in beside}) == 1
    assert selected == chosen == []


def test_hidden_rows_are_neither_drawn_nor_taken(scatter, qtbot):
    scatter.set_rows([0, 1, 4])
    settle()
    chosen, selected = heard(scatter.cell_chosen), heard(scatter.selection_changed)
    qtbot.mouseClick(scatter.canvas, LEFT, pos=place(scatter, 3))
    assert chosen == []
    lasso(scatter, qtbot, around([place(scatter, row) for row in range(6)], room=8))
    assert selected[0].tolist() == [0, 1, 4]
    assert scatter.status.text().startswith("3 of 6 cells drawn")


def test_points_lie_where_asinh_puts_them(scatter):
    # CK: 99th percentile 1925, 5th -15: a width of 10^round(log10(30)) = 10
    low, high = np.arcsinh(CK.min() / 10), np.arcsinh(CK.max() / 10)
    room = 0.04 * (high - low)
    share = (np.arcsinh(CK / 10) - low + room) / (high - low + 2 * room)
    box = scatter.canvas.axes.bbox.frozen().transformed(Affine2D().scale(1 / scatter.canvas.device_pixel_ratio))
    found = [scatter.canvas.position(row).x() for row in range(6)]
    assert found == pytest.approx(box.x0 + share * box.width, abs=0.01)
    assert scatter.canvas.axes.get_xlabel() == "CK (counts, asinh)"
    assert "CK is linear within ±10." in scatter.log_box.toolTip()


def test_without_asinh_the_axes_are_linear_and_sizes_always(scatter):
    scatter.log_box.setChecked(False)
    settle()
    found = np.array([scatter.canvas.position(row).x() for row in range(6)])
    assert np.diff(found) / np.diff(CK) == pytest.approx(np.full(5, (found[5] - found[0]) / 2020))
    assert scatter.canvas.axes.get_xlabel() == "CK (counts)"
    scatter.log_box.setChecked(True)
    scatter.x_box.setCurrentText("Size")
    assert scatter.canvas.axes.get_xlabel() == "Size (µm)"
    assert scatter.canvas.axes.get_xscale() == "linear"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-50, 5000, [-10, 0, 10, 100, 1000]),
        (15, 400, [30, 100, 300]),
        (15, 150, [20, 50, 100]),
        (15, 60, [15, 30, 45, 60]),
        (0, 5, [0.0, 1.5, 3.0, 4.5, 6.0]),
    ],
)
def test_ticks_are_round_and_known_at_every_zoom(low, high, expected):
    assert list(AsinhTicks(10.0).tick_values(low, high)) == expected


def turn_wheel(canvas, at, steps):
    event = QWheelEvent(
        QPointF(at), QPointF(canvas.mapToGlobal(at)), QPoint(), QPoint(0, 120 * steps), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(canvas, event)
    settle()


def test_the_wheel_zooms_about_the_pointer_and_a_double_click_shows_all(scatter, qtbot):
    home = scatter.canvas.axes.viewLim.get_points().copy()
    at = place(scatter, 3)
    turn_wheel(scatter.canvas, at, 3)
    assert scatter.canvas.axes.viewLim.width < 0.8 * np.ptp(home[:, 0])
    assert (place(scatter, 3) - at).manhattanLength() <= 2
    scatter.set_rows([2, 3])
    assert scatter.canvas.axes.viewLim.width < 0.8 * np.ptp(home[:, 0])
    chosen, selected = heard(scatter.cell_chosen), heard(scatter.selection_changed)
    empty = at + QPoint(40, 0)
    qtbot.mouseClick(scatter.canvas, LEFT, pos=empty)
    qtbot.mouseDClick(scatter.canvas, LEFT, pos=empty)
    qtbot.mouseRelease(scatter.canvas, LEFT, pos=empty)
    assert scatter.canvas.axes.viewLim.get_points() == pytest.approx(home)
    turn_wheel(scatter.canvas, at, -4)
    assert scatter.canvas.axes.viewLim.get_points() == pytest.approx(home)
    assert chosen == selected == []


def test_the_zoom_has_an_end(scatter):
    for _ in range(30):
        turn_wheel(scatter.canvas, place(scatter, 3), 5)
    settle()
    low, high = scatter.canvas.axes.get_xlim()
    assert high > low
    assert low <= 100 <= high


def test_what_has_no_value_is_counted_and_not_drawn(scatter):
    scatter.set_cells(table(her2=np.array([np.nan, 40, 90, np.nan, 500, 1500])))
    scatter.set_current(0)
    scatter.select([0, 1])
    settle()
    scatter.canvas.grab()
    assert scatter.canvas.drawn == 4
    assert scatter.status.text() == "4 of 6 cells drawn · 2 without a value · 2 selected"


@pytest.mark.parametrize(
    "cells",
    [table().iloc[:0], table(her2=np.full(6, np.nan)), table(ck=np.zeros(6), her2=np.zeros(6)), table().iloc[:1]],
    ids=["no cell", "no value", "constant", "one cell"],
)
def test_strange_tables(scatter, cells, qtbot):
    scatter.set_cells(cells)
    scatter.set_lines({"her2_intensity": (30, 110, 340)})
    settle()
    scatter.canvas.grab()
    lasso(scatter, qtbot, [QPoint(100, 60), QPoint(300, 60), QPoint(300, 300)])
    qtbot.mouseClick(scatter.canvas, LEFT, pos=QPoint(200, 200))
    assert scatter.status.text().startswith(f"{scatter.canvas.drawn} of {len(cells)} cells drawn")


def test_colours_follow_the_final_grade():
    cells = table()
    assert final_colours(cells).tolist() == [GRADE_COLOURS[g] for g in (0, 1, 1, 2, 3, 3)]
    cells["kind_final"] = ["ctc", "other", "ctc", "ctc", "ctc", "leukocyte"]
    cells["grade"] = pd.array([3, None, None, 0, 1, 3], dtype="Int8")
    assert final_colours(cells).tolist() == [
        GRADE_COLOURS[3], NO_CTC_COLOUR, "#ffffff", GRADE_COLOURS[0], GRADE_COLOURS[1], NO_CTC_COLOUR,
    ]  # fmt: skip


def test_new_colours_are_drawn_soon(scatter, qtbot):
    scatter.set_colours(["#00ff00"] * 6)
    scatter.set_colours(["#ff00ff"] * 6)
    qtbot.waitUntil(lambda: colour_at(scatter.canvas, place(scatter, 3)) == "#ff00ff", timeout=2000)
    with pytest.raises(ValueError, match="2 colours for 6 cells"):
        scatter.set_colours(["#ff00ff"] * 2)


def lines_at(scatter):
    return [
        line.get_xdata()[0]
        for line in scatter.canvas.axes.lines
        if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
    ]


def test_gates_stand_where_they_were_given(scatter):
    scatter.set_lines({"ck_mean": (60,), "her2_intensity": (30, 110, 340), "cd45_mean": (35,)})
    assert lines_at(scatter) == [60]
    scatter.x_box.setCurrentText("HER2")
    assert lines_at(scatter) == [30, 110, 340]
    assert scatter.canvas.axes.get_xlabel() == "HER2 (counts, asinh)"


def test_a_blinded_reader_sees_neither_grades_nor_her2(scatter):
    scatter.set_lines({"her2_intensity": (30, 110, 340)})
    scatter.set_blind(True)
    settle()
    assert [box.findText("HER2") for box in (scatter.x_box, scatter.y_box)] == [-1, -1]
    assert (scatter.x_box.currentText(), scatter.y_box.currentText()) == ("CK", "CD45")
    assert {to_hex(line.get_color()) for line in scatter.canvas._drawn} == {BLIND_COLOUR}
    assert "hidden" in scatter.legend.text()
    scatter.set_blind(False)
    assert scatter.y_box.findText("HER2") >= 0
    assert {to_hex(line.get_color()) for line in scatter.canvas._drawn} == set(GRADE_COLOURS)


def test_the_unit_of_her2_is_named(scatter):
    scatter.set_cells(table(), unit="leukocyte_ratio")
    assert scatter.canvas.axes.get_ylabel() == "HER2 (× leukocytes, asinh)"


def test_the_plot_keeps_its_size_whatever_is_said(scatter):
    scatter.resize(360, 400)
    settle()
    before = scatter.canvas.size()
    scatter.set_cells(table(her2=np.array([np.nan, 40, 90, np.nan, 500, 1500])))
    scatter.select([0, 1])
    settle()
    assert scatter.canvas.size() == before


class Dock(QWidget):
    def __init__(self, inner):
        super().__init__()
        QVBoxLayout(self).addWidget(inner)
        self.keys = []

    def keyPressEvent(self, event):
        self.keys.append(event.text())


def test_keys_reach_the_dock_and_the_theme_reaches_the_plot(qtbot):
    scatter = CellScatter()
    dock = Dock(scatter)
    qtbot.addWidget(dock)
    dock.show()
    qtbot.waitExposed(dock)
    for inner in (scatter.canvas, scatter.x_box, scatter.clear_button):
        qtbot.mouseClick(inner, LEFT, pos=QPoint(2, 2))
        qtbot.keyClick(QApplication.activePopupWidget() or dock, Qt.Key.Key_Escape)
        assert not inner.hasFocus()
    qtbot.keyClick(scatter.canvas, "3")
    assert dock.keys[-1] == "3"
    dock.setStyleSheet("QWidget { background-color: #101010; color: #fafafa }")
    settle()
    assert to_hex(scatter.canvas.figure.get_facecolor()) == "#101010"
    assert scatter.canvas.axes.yaxis.label.get_color() == "#fafafa"
