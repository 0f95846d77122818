"""The XML of a CellTracks export: read as it is known, refused as soon as it is not, and harmless whoever wrote it."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from celltracks_export import DOCTYPE, FILTERS, event, xml

from cher2.errors import ImageError
from cher2.images import celltracks_xml
from cher2.images.celltracks_xml import MAX_DEPTH, Event, is_export, read_export

GRID, CAMERA = (5, 35), (1036, 1384)
GOOD = xml(GRID, CAMERA, events=[event(1, 2, (10, 1400, 30, 1420)), event(2, 2, (50, 1500, 60, 1510.5), "false")])


@pytest.fixture
def write(tmp_path):
    """Return a function that writes an XML and gives its path."""

    def write(text):
        path = tmp_path / "a.xml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def refusal(write):
    """Return a function that gives the one-line error of a text."""

    def refusal(text):
        path = write(text)
        with pytest.raises(ImageError) as caught:
            read_export(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        return caught.value.what

    return refusal


def test_what_it_says(write):
    export = read_export(write(GOOD))
    assert (export.rows, export.columns, export.camera, export.filters) == (5, 35, (1036, 1384), FILTERS)
    assert export.events == (
        Event("1", 2, True, (10, 1400, 30, 1420)),
        Event("2", 2, False, (50, 1500, 60, 1510.5)),
    )


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("archive", "export"),
        GOOD.replace(DOCTYPE, ""),
        GOOD.replace(DOCTYPE, "<!DOCTYPE archive [<!ELEMENT archive ANY><!ATTLIST runs a CDATA 'x'>]>"),
        GOOD.replace("<archive>", '<ct:archive xmlns:ct="http://a">').replace("</archive>", "</ct:archive>"),
        GOOD.replace("numcols", "NumCols").replace("events", "Events"),
        GOOD.replace("<numcols>35<", "<numcols>\n  35 <"),
        GOOD.replace("UTF-8", "UTF-16").encode("utf-16"),
        GOOD.replace("UTF-8", "ISO-8859-1").replace("<name/>", "<name>Zoë</name>").encode("latin-1"),
        "\ufeff" + GOOD,
    ],
)
def test_variants_say_the_same(write, text):
    path = write(text)
    assert is_export(path)
    assert vars(read_export(path)) == vars(read_export(write(GOOD)))


@pytest.mark.parametrize(
    "text",
    [b"", b"\0\1\2", b"<", b"plain text", b"<OME><runs/></OME>", b"<export><settings/></export>", b"<archive/>",
     b"<a><export><runs/></export></a>"],
)  # fmt: skip
def test_what_is_no_export(write, text):
    assert not is_export(write(text))


def test_what_begins_as_an_export_is_one_though_it_is_damaged(write, refusal):
    assert is_export(write(GOOD[: len(GOOD) // 2]))
    assert "damaged" in refusal(GOOD[: len(GOOD) // 2])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("<record><numcols>", "<record/><record><numcols>", "2 records of runs"),
        ("<runs>", "<runs_>", "damaged"),
        ("<camxsize>1384</camxsize>", "", 'the run of the export says camxsize = ""'),
        ("<camysize>1036<", "<camysize>1036.5<", 'camysize = "1036.5"'),
        ("<numrows>5<", "<numrows>-5<", 'numrows = "-5"'),
        ("<numrows>5<", "<numrows>٥<", "numrows"),
        ("<numrows>5<", "<numrows>5</numrows><numrows>5<", "two fields numrows"),
        ("<framenum>2<", "<framenum>0<", 'event 1 of the export says framenum = "0"'),
        ("<framenum>2<", "<framenum>99999999999<", "framenum"),
        ("<eventnum>1<", "<eventnum><", 'has "" for a number'),
        ("<eventnum>1<", "<eventnum>=1+1<", 'has "..." for a number'),
        ("(1420,30),(1400,10)", "1420,30,1400,10", "not (x,y),(x,y)"),
        ("(1420,30),(1400,10)", "(1420,30),(1400,10),(1,1)", "not (x,y),(x,y)"),
        ("(1420,30),(1400,10)", "(nan,30),(1400,inf)", "not (x,y),(x,y)"),
        ("(1420,30),(1400,10)", "", "not (x,y),(x,y)"),
        ("<assigned>true<", "<assigned>yes<", 'assigned "..."'),
        ("<assigned>true</assigned>", "", "some events of the export say whether"),
        ("<filtername>CK<", "<filtername> <", "filter 3 of the export has no name"),
        ("<framenum>2<", f"<framenum>{'2' * 5000}<", "longer than 4096"),
    ],
)
def test_one_thing_is_wrong(refusal, old, new, says):
    assert old in GOOD
    assert says in refusal(GOOD.replace(old, new, 1))


def test_an_error_that_is_known_is_told_again(write, monkeypatch):
    path = write(GOOD[:200])
    with pytest.raises(ImageError) as first:
        read_export(path)
    monkeypatch.setattr(celltracks_xml, "_parsed_chunks", lambda *_: pytest.fail("it was parsed again"))
    with pytest.raises(ImageError) as second:
        read_export(path)
    assert str(first.value) == str(second.value)


class TestHostile:
    def test_a_billion_laughs(self, refusal):
        lols = "".join(f'<!ENTITY lol{k} "{f"&lol{k - 1};" * 10}">' for k in range(1, 10))
        head = f'<!DOCTYPE archive [<!ENTITY lol0 "lol">{lols}]>'
        text = GOOD.replace(DOCTYPE, head).replace("<numrows>5<", "<numrows>&lol9;<")
        assert "entities" in refusal(text)

    def test_a_file_of_the_machine(self, refusal, tmp_path):
        secret = tmp_path / "secret.txt"
        secret.write_text("35", encoding="utf-8")
        head = f'<!DOCTYPE archive [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
        said = refusal(GOOD.replace(DOCTYPE, head).replace("<numcols>35<", "<numcols>&x;<"))
        assert "entities" in said

    def test_a_parameter_entity(self, refusal):
        head = '<!DOCTYPE archive [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x.dtd"> %x;]>'
        assert "entities" in refusal(GOOD.replace(DOCTYPE, head))

    def test_an_entity_of_an_external_document_type_is_not_dropped_in_silence(self, refusal):
        assert "entities" in refusal(GOOD.replace("<numrows>5<", "<numrows>5&more;<"))

    def test_an_external_document_type_is_never_opened(self, write, tmp_path):
        (tmp_path / "archive.dtd").write_text('<!ENTITY lol "lol">', encoding="utf-8")
        assert read_export(write(GOOD)).rows == 5

    def test_fifty_megabytes_of_nesting(self, refusal):
        text = GOOD.replace("<runs>", "<x>" * (50 * 2**20 // 3) + "<runs>", 1)
        tracemalloc.start()
        began = time.monotonic()
        said = refusal(text)
        assert f"more than {MAX_DEPTH} elements in one another" in said
        # The text itself and its bytes are the test's own.
        assert tracemalloc.get_traced_memory()[1] < 80 * 2**20
        tracemalloc.stop()
        assert time.monotonic() - began < 5

    def test_more_bytes_than_are_read(self, write, refusal, monkeypatch):
        monkeypatch.setattr(celltracks_xml, "MAX_BYTES", 1000)
        assert "at most 1000 are read" in refusal(GOOD + " " * 1000)

    def test_more_records_than_are_read(self, refusal, monkeypatch):
        monkeypatch.setattr(celltracks_xml, "MAX_RECORDS", 100)
        assert "more than 100 events" in refusal(
            xml(GRID, CAMERA, events=[event(k, 1, (1, 2, 3, 4)) for k in range(101)])
        )

    def test_an_encoding_that_is_none(self, refusal):
        assert "damaged" in refusal(GOOD.replace("UTF-8", "no-such"))

    def test_a_file_that_is_gone(self, tmp_path):
        with pytest.raises(ImageError, match="cannot be read"):
            read_export(tmp_path / "none.xml")
