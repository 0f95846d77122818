import base64
import json
from html.parser import HTMLParser

from cher2.report.page_data import data_uri, sheets_data
from cher2.report.patient_sheets import PatientSheet, SheetCell


def test_a_file_comes_back_from_its_address():
    head, _, body = data_uri("text/csv", "é,=1").partition(",")
    assert head == "data:text/csv;base64"
    assert base64.b64decode(body).decode() == "é,=1"


def test_nothing_in_a_name_ends_the_element_that_holds_it():
    hostile = "</script><script>alert(1)</script><!--&amp;\udcff"
    sheet = PatientSheet(hostile, b"\x00\xff", (SheetCell("3+", 12.3456, hostile, 7),), 9)
    text = sheets_data([sheet])

    class Elements(HTMLParser):
        def __init__(self):
            super().__init__()
            self.tags, self.texts = [], []

        def handle_starttag(self, tag, attrs):
            self.tags.append(tag)

        def handle_data(self, data):
            self.texts.append(data)

    parser = Elements()
    parser.feed(f'<script type="application/json">{text}</script>')
    assert parser.tags == ["script"]
    (found,) = parser.texts
    read = json.loads(found)[hostile]
    assert base64.b64decode(read["webp"]) == b"\x00\xff"
    assert (read["of"], read["cells"]) == (9, [["3+", 12.35, hostile, 7]])
    text.encode("ascii")


def test_a_cell_without_a_number_has_none():
    sheet = PatientSheet("P1", b"", (SheetCell("", float("nan"), "a", 1),), 1)
    assert json.loads(sheets_data([sheet]))["P1"]["cells"] == [["", None, "a", 1]]
