"""The cohort widget in a real window: what it shows, what it writes, and the way from a patient to the review."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QColor
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMessageBox

from cher2.cohorts.layout import paper_table
from cher2.napari.cohort_patients import PatientsPanel
from cher2.napari.cohort_reading import CohortDrawing
from cher2.napari.cohort_widget import CohortWidget
from cher2.napari.figure_view import FigurePage, FigureView
from cher2.napari.review_widget import ReviewWidget
from cher2.report.svg import INK

WAIT_MS = 20_000


@pytest.fixture
def home(study_copy):
    return study_copy


@pytest.fixture
def viewer(make_napari_viewer):
    made = make_napari_viewer(show=True)
    made.window.resize(1280, 800)
    return made


@pytest.fixture
def widget(viewer, home, scored):
    made = CohortWidget(viewer)
    viewer.window.add_dock_widget(made, name="Compare cohorts", area="right")
    made.form.study.setText(str(home))
    made.form.reader.setText("anna")
    return made


def read(widget, qtbot):
    with qtbot.waitSignal(widget.compared, timeout=WAIT_MS):
        widget.form.read_button.click()
    at_rest(widget, qtbot)


def at_rest(widget, qtbot):
    qtbot.waitUntil(lambda: widget._worker is None, timeout=WAIT_MS)


def review_of(viewer):
    return next(dock for dock in viewer.window.dock_widgets.values() if isinstance(dock, ReviewWidget))


def texts(table):
    rows = range(table.rowCount())
    return [[item.text() if (item := table.item(row, column)) else "" for column in range(6)] for row in rows]


def test_table_figures_and_patients_are_shown_and_nothing_is_written(widget, home, qtbot, files_of):
    before = files_of(home)
    with qtbot.waitSignal(widget.compared, timeout=WAIT_MS):
        widget.form.read_button.click()
        # The click is over long before the study is read.
        assert not widget.form.isEnabled()
        assert widget.progress.isVisible()
    at_rest(widget, qtbot)
    assert files_of(home) == before
    comparison = widget.view.comparison
    printed = paper_table(comparison.table, comparison.titles).iloc[:, :6].to_numpy().tolist()
    shown = texts(widget.comparison.table)
    tested = [row for row in printed if row[4]]
    assert [row for row in shown if row[4]] == tested
    assert [row[0].strip() for row in shown] == [row[0].strip() for row in printed]
    assert [len(page.views) for page in (widget.forest, widget.sites, widget.survival)] == [1, 1, 2]
    assert widget.patients.shown() == [f"P0{k}" for k in range(1, 9)]
    assert "SYNTHETIC DATA" in widget.caption.text()
    assert "For research use only" in widget.caption.text()
    assert not widget.use_button.isVisible()
    assert not widget.status.isVisible()
    high = int((widget.view.patients["group"] == "high").sum())
    assert f"{high} high" in widget.caption.text()
    widget.form.choose_index("strong_ctcs")
    assert "at least 1" in widget.form.threshold.placeholderText()
    with qtbot.waitSignal(widget.compared, timeout=WAIT_MS):
        QTest.keyClick(widget.form.threshold, Qt.Key.Key_Return)
    at_rest(widget, qtbot)
    assert "Strong CTCs (3+) (at least 1)" in widget.caption.text()
    expected = (widget.view.patients["n_grade_3"] >= 1) & (widget.view.patients["group"] != "excluded")
    assert (widget.view.patients["group"] == "high").tolist() == expected.tolist()


def test_a_double_click_opens_the_review_of_that_patient_and_another_goes_on_in_it(viewer, widget, home, qtbot):
    read(widget, qtbot)
    widget.form.reader.clear()
    with qtbot.waitSignal(widget.failed) as told:
        widget.review("P03")
    assert "name of its reader" in told.args[0]
    assert not [dock for dock in viewer.window.dock_widgets.values() if isinstance(dock, ReviewWidget)]
    widget.form.reader.setText("anna")
    widget.tabs.setCurrentWidget(widget.patients)
    view = widget.patients.view
    place = view.visualRect(widget.patients.order.index(2, 0)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert widget.patients.patient == "P03"
    QTest.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    review = review_of(viewer)
    session = review.panel.session
    assert set(session.cells["patient_id"].iloc[session.order]) == {"P03"}
    assert session.reader == "anna"
    qtbot.waitUntil(lambda: review.isVisible(), timeout=WAIT_MS)
    view.selectRow(7)
    QTest.keyClick(view, Qt.Key.Key_Return)
    assert review_of(viewer).panel.session is session
    assert set(session.cells["patient_id"].iloc[session.order]) == {"P08"}
    with qtbot.waitSignal(widget.failed) as told:
        widget.review("P99")
    assert "no CTC to review" in told.args[0]
    session.set_queue("sample")
    assert session.blind
    with qtbot.waitSignal(widget.failed) as told:
        widget.patients.review_button.click()
    assert "blind" in told.args[0]
    review.close_study()


def test_a_table_becomes_the_studys_only_by_the_button_and_a_yes(widget, home, qtbot, tmp_path, files_of, command):
    table = pd.read_csv(home / "clinical.csv", dtype=str, keep_default_na=False).assign(bone="1")
    table.to_csv(tmp_path / "new.csv", index=False)
    widget.form.clinical.setText(str(tmp_path / "new.csv"))
    widget.form.choose_index("over_expressing")
    read(widget, qtbot)
    before = files_of(home)
    asked = []

    def reply(answer):
        box = QApplication.activeModalWidget()
        asked.append(box.text())
        box.button(answer).click()

    QTimer.singleShot(200, lambda: reply(QMessageBox.StandardButton.No))
    widget.use_button.click()
    assert files_of(home) == before
    QTimer.singleShot(200, lambda: reply(QMessageBox.StandardButton.Yes))
    with qtbot.waitSignal(widget.written, timeout=WAIT_MS):
        widget.use_button.click()
    at_rest(widget, qtbot)
    assert all("has a clinical table already" in words for words in asked)
    assert (pd.read_csv(home / "clinical.csv", dtype=str)["bone"] == "1").all()
    assert not widget.use_button.isVisible()
    assert "own clinical table" in widget.caption.text()
    assert widget.form.clinical.text() == ""
    written = files_of(home)
    assert {name for name in before if before[name] != written[name]} >= {"clinical.csv", "comparison.csv"}
    # The command has nothing to add: all is as it would write it.
    assert command("compare", home, "--clinical", tmp_path / "new.csv").code == 0
    after = files_of(home)
    assert [name for name in after if after[name] != written.get(name)] == []


def test_faults_are_told_and_leave_what_is_shown(widget, home, qtbot, tmp_path):
    read(widget, qtbot)
    caption = widget.caption.text()
    widget.form.choose_index("weak_share")
    with qtbot.waitSignal(widget.failed) as told:
        widget.form.compare_button.click()
    assert "no threshold is published" in told.args[0]
    QTest.keyClicks(widget.form.threshold, "1e9")
    assert widget.form.threshold.text() == "19"
    widget.form.choose_index("")
    for folder, says in ((str(tmp_path / "nowhere"), "no study folder"), ("  ", "no study is chosen")):
        widget.form.study.setText(folder)
        with qtbot.waitSignal(widget.failed, timeout=WAIT_MS) as told:
            widget.form.read_button.click()
        at_rest(widget, qtbot)
        assert says in told.args[0]
        assert says in widget.status.text()
    assert widget.caption.text() == caption
    shutil.copy(home / "samples.csv", tmp_path / "no_clinical.csv")
    widget.form.study.setText(str(home))
    widget.form.clinical.setText(str(tmp_path / "no_clinical.csv"))
    read(widget, qtbot)
    assert "no column for any site" in widget.status.text()
    assert widget.comparison.table.rowCount() == 0
    assert "no column for any site" in widget.forest.words()
    assert len(widget.patients.shown()) == 8


def test_closing_the_dock_drops_what_is_being_read(viewer, widget, qtbot):
    told = []
    widget.compared.connect(lambda: told.append("compared"))
    widget.form.read_button.click()
    worker = widget._worker
    viewer.window.remove_dock_widget(widget)
    qtbot.waitUntil(lambda: not worker.is_running, timeout=WAIT_MS)
    qtbot.wait(50)
    assert told == []


def patients(**columns):
    number = len(columns["patient_id"])
    nothing = {
        "group": "low", "borderline": False, "cher2_ratio": 0.5, "ratio_low": 0.1, "ratio_high": 0.9, "n_ctcs": 9,
        "n_grade_0": 1, "n_grade_1": 4, "n_grade_2": 4, "n_grade_3": 0, "p_high": 0.1,
        "has_clinical": True, "reason": "",
    }  # fmt: skip
    return pd.DataFrame({**{name: [value] * number for name, value in nothing.items()}, **columns})


def test_patients_are_sorted_by_number_and_those_without_a_value_come_last_either_way(qtbot):
    panel = PatientsPanel()
    qtbot.addWidget(panel)
    nan = float("nan")
    names = ["P10", "P2", "<b>P1</b>", "P3"]
    table = patients(patient_id=names, cher2_ratio=[0.9, nan, 0.1, 0.5], group=["high", "undefined", "low", "low"])
    panel.show_patients(table, "")
    assert panel.shown() == ["<b>P1</b>", "P2", "P3", "P10"]
    panel.view.sortByColumn(2, Qt.SortOrder.AscendingOrder)
    assert panel.shown() == ["<b>P1</b>", "P3", "P10", "P2"]
    panel.view.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    assert panel.shown() == ["P10", "P3", "<b>P1</b>", "P2"]
    panel.group.setCurrentIndex(panel.group.findData("low"))
    panel.group.activated.emit(panel.group.currentIndex())
    assert panel.group.currentText() == "low (2)"
    assert panel.shown() == ["P3", "<b>P1</b>"]
    panel.search.setText(" p3")
    assert panel.shown() == ["P3"]
    assert not panel.review_button.isEnabled()
    panel.view.selectRow(0)
    assert panel.review_button.isEnabled()
    panel.show_patients(patients(patient_id=[]), "H-score")
    assert panel.shown() == []
    assert panel.patient == ""
    assert [column.title for column in panel.model.columns][2] == "H-score"


def test_a_figure_keeps_its_shape_and_takes_the_colours_of_the_theme(qtbot):
    figure = Figure(figsize=(7.2, 3.6))
    axes = figure.subplots()
    (ours,) = axes.plot([0, 1], color=INK)
    (theirs,) = axes.plot([1, 0], color="#ffffff")
    view = FigureView(figure)
    qtbot.addWidget(view)
    for width in (600, 850):
        view.resize(width, view.heightForWidth(width))
        view.show()
        qtbot.waitUntil(lambda: abs(figure.get_figwidth() - 7.2) < 0.01)
        assert figure.get_figheight() == pytest.approx(3.6, abs=0.02)
    view.set_theme(QColor("#202020"), QColor("#ffffff"))
    assert (to_hex(ours.get_color()), to_hex(figure.get_facecolor())) == ("#ffffff", "#202020")
    view.set_theme(QColor("#eeeeee"), QColor("#111111"))
    assert (to_hex(ours.get_color()), to_hex(theirs.get_color())) == ("#111111", "#ffffff")


def test_a_page_without_figures_says_why_as_plain_text(qtbot):
    page = FigurePage()
    qtbot.addWidget(page)
    page.show_drawings((CohortDrawing(None),), "no <b>patient</b>")
    assert page.words() == "no <b>patient</b>"
    assert page.labels[0].textFormat() == Qt.TextFormat.PlainText
