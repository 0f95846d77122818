"""Errors: what, where and remedy, in one line, wherever they travel."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from cher2 import errors
from cher2.errors import ChannelError, Cher2Error, ClinicalTableError, ImageError

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Cher2Error)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_says_where_what_and_the_remedy(kind):
    error = kind("there is no channel HER2", where="P1/frame.tif", remedy="Name it in the protocol")
    assert str(error) == "P1/frame.tif: there is no channel HER2. Name it in the protocol."
    assert (error.what, error.where, error.remedy) == (
        "there is no channel HER2",
        "P1/frame.tif",
        "Name it in the protocol",
    )


def test_where_and_remedy_may_be_missing():
    assert str(Cher2Error("no images")) == "no images."
    assert str(Cher2Error("no images", where="here")) == "here: no images."
    assert str(Cher2Error("no images", remedy="Copy some")) == "no images. Copy some."


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_travels_between_processes_whole(kind, travel):
    error = kind("what", where="a\nb.tif", remedy="Mend it")
    again = travel(error)
    assert type(again) is kind
    assert (again.what, again.where, again.remedy, str(again)) == ("what", "a\nb.tif", "Mend it", str(error))


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\tb", "a\u2028b", "a\x0bb\x0c"])
def test_an_error_is_one_line_whatever_a_name_holds(text):
    shown = str(Cher2Error("cannot be read", where=text, remedy=f"Rename {text}"))
    assert len(shown.splitlines()) == 1
    assert shown.startswith("a b")


def test_an_error_within_a_file_names_both():
    error = ClinicalTableError("a patient is there twice", where="rows 1 and 2", remedy="Keep one")
    assert type(error.within("c.csv")) is ClinicalTableError
    assert str(error.within("c.csv")) == "c.csv, rows 1 and 2: a patient is there twice. Keep one."
    assert str(Cher2Error("no column").within("c.csv")) == "c.csv: no column."


def test_one_clause_catches_them_all():
    assert issubclass(ChannelError, ImageError)
    assert all(issubclass(kind, Cher2Error) for kind in KINDS)
    with pytest.raises(Cher2Error):
        raise ClinicalTableError("a patient is there twice")
    assert not issubclass(Cher2Error, (ValueError, OSError))
