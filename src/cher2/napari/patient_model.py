"""The patients of a study as Qt's tables take them: columns, sorting and filter."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QSortFilterProxyModel, Qt
from qtpy.QtGui import QColor, QPixmap

from cher2.cells.objects import GRADE_NAMES, GRADES
from cher2.palette import GRADE_COLOURS, GROUP_COLOURS
from cher2.patients.identifiers import natural_order
from cher2.patients.table import GROUPS

SORT_ROLE = Qt.ItemDataRole.UserRole
Row = dict[str, Any]


class PatientColumn(NamedTuple):
    """A column of the table.

    Parameters
    ----------
    title, tip : str
    text : callable
        From a patient's row to what is shown.
    key : callable
        From a patient's row to what is sorted by; None, which comes last either way, where there is nothing.
    colour : str
        Of the square beside the title.
    """

    title: str
    tip: str
    text: Callable[[Row], str]
    key: Callable[[Row], Any]
    colour: str = ""


def patient_columns(index_title: str) -> list[PatientColumn]:
    """Return the columns; the split's index is among them where it has a title."""
    grades = [
        _number(f"n_grade_{grade}", GRADE_NAMES[grade], f"CTCs of grade {GRADE_NAMES[grade]}", colour)
        for grade, colour in zip(GRADES, GRADE_COLOURS, strict=True)
    ]
    index = [_value("index_value", index_title, "What the patients are split by", ".4g")] if index_title else []
    return [
        PatientColumn("Patient", "", lambda row: str(row["patient_id"]), lambda row: row["place"]),
        PatientColumn("Group", "By the split above", _group, _group_place),
        *index,
        _value("cher2_ratio", "cHER2 ratio", "2+ and 3+ CTCs over HER2+ CTCs; empty where there is no HER2+ CTC"),
        PatientColumn(
            "95% interval", "Jeffreys interval of the ratio; sorted by its width", _interval, _interval_width
        ),
        _number("n_ctcs", "CTCs", "CTCs, graded or not"),
        *grades,
        _value("p_high", "p high", "Probability that the true ratio is above the protocol's threshold"),
        PatientColumn(
            "Clinical",
            "Whether the clinical table has a row of the patient",
            lambda row: "yes" if row["has_clinical"] else "no row",
            lambda row: not row["has_clinical"],
        ),
        PatientColumn("Reason", "", lambda row: str(row["reason"]), lambda row: row["reason"]),
    ]  # fmt: skip


class PatientModel(QAbstractTableModel):
    """The patients as Qt's views take them."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[Row] = []
        self._columns = patient_columns("")

    def set_patients(self, patients: pd.DataFrame, index_title: str) -> None:
        """Show other patients: rows of :attr:`cher2.napari.cohort_reading.CohortView.patients`."""
        places = {name: place for place, name in enumerate(natural_order(patients["patient_id"].tolist()))}
        self.beginResetModel()
        self._columns = patient_columns(index_title)
        records = patients.assign(place=patients["patient_id"].map(places)).to_dict("records")
        self._rows = [{str(name): value for name, value in record.items()} for record in records]
        self.endResetModel()

    @property
    def columns(self) -> list[PatientColumn]:
        """The columns that are shown."""
        return self._columns

    def row(self, number: int) -> Row:
        """Return a patient."""
        return self._rows[number]

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802  (Qt's name)
        """Return the number of patients."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802  (Qt's name)
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self._columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what Qt asks of a place in the table."""
        row, column = self._rows[index.row()], self._columns[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(row)
        if role == SORT_ROLE:
            return column.key(row)
        if role == Qt.ItemDataRole.DecorationRole and column.title == "Group":
            return QColor(GROUP_COLOURS[row["group"]])
        if role == Qt.ItemDataRole.TextAlignmentRole and not isinstance(column.key(row), str) and index.column() > 1:
            return Qt.AlignmentFlag.AlignCenter
        return str(row["reason"]) if role == Qt.ItemDataRole.ToolTipRole else None

    def headerData(  # noqa: N802  (Qt's name)
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return a column's title, what it means, and the colour of a grade."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = self._columns[section]
        if role == Qt.ItemDataRole.DecorationRole:
            return _square(column.colour) if column.colour else None
        return {Qt.ItemDataRole.DisplayRole: column.title, Qt.ItemDataRole.ToolTipRole: column.tip}.get(
            Qt.ItemDataRole(role)
        )


class PatientOrder(QSortFilterProxyModel):
    """The patients of a group whose name holds a text, sorted; a patient without the value comes last either way."""

    def __init__(self, model: PatientModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._model, self._group, self._text = model, "", ""
        self.setSourceModel(model)
        self.setSortRole(SORT_ROLE)

    def set_filter(self, group: str, text: str) -> None:
        """Show the patients of a group (empty: all) whose name holds a text."""
        self._group, self._text = group, text.strip().casefold()
        self.invalidate()

    def filterAcceptsRow(self, source_row: int, _source_parent: QModelIndex) -> bool:  # noqa: N802  (Qt's name)
        """Say whether a patient is shown."""
        row = self._model.row(source_row)
        return self._group in ("", row["group"]) and self._text in str(row["patient_id"]).casefold()

    def lessThan(self, left: QModelIndex, right: QModelIndex) -> bool:  # noqa: N802  (Qt's name)
        """Say which of two patients comes first."""
        one, other = (self._model.data(index, SORT_ROLE) for index in (left, right))
        if one is None or other is None:
            # Qt turns the order around for a falling sort.
            last_is_less = self.sortOrder() == Qt.SortOrder.DescendingOrder
            return one is not other and (one is None) == last_is_less
        return bool(one < other)


def _square(colour: str) -> QPixmap:
    # Where a table's cell takes a colour, its header takes only a picture.
    picture = QPixmap(10, 10)
    picture.fill(QColor(colour))
    return picture


def _number(name: str, title: str, tip: str, colour: str = "") -> PatientColumn:
    return PatientColumn(title, tip, lambda row: str(row[name]), lambda row: int(row[name]), colour)


def _value(name: str, title: str, tip: str, form: str = ".3f") -> PatientColumn:
    return PatientColumn(
        title, tip, lambda row: "" if math.isnan(row[name]) else format(row[name], form), lambda row: _known(row[name])
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _group(row: Row) -> str:
    return f"{row['group']}, borderline" if row["borderline"] else str(row["group"])


def _group_place(row: Row) -> tuple[int, bool]:
    return GROUPS.index(row["group"]), bool(row["borderline"])


def _interval(row: Row) -> str:
    return "" if math.isnan(row["ratio_low"]) else f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}"


def _interval_width(row: Row) -> float | None:
    return _known(row["ratio_high"] - row["ratio_low"])
