"""Files that belong together: wherever it is broken off, none of the old stands beside one of the new."""

from __future__ import annotations

from pathlib import Path

import pytest

from cher2.errors import StudyError
from cher2.study.file_set import replaced_together

NAMES = ("a.csv", "b.csv", "c.csv")


class Killed(BaseException):
    pass


def write(folder, kind, names=NAMES[:2]):
    with replaced_together(folder, NAMES, ["page.html"]) as files:
        for name in names:
            files.write(name, kind)
        files.write("input.csv", kind)


def state(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_are_replaced_what_is_not_written_goes_and_so_does_what_shows_them(tmp_path):
    write(tmp_path, b"old", NAMES)
    (tmp_path / "page.html").write_bytes(b"old")
    write(tmp_path, b"new")
    assert state(tmp_path) == {"a.csv": b"new", "b.csv": b"new", "input.csv": b"new"}


def test_what_is_the_same_stays_as_it_is(tmp_path):
    write(tmp_path, b"old")
    (tmp_path / "page.html").write_bytes(b"page")
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    write(tmp_path, b"old")
    assert {path.name: path.stat().st_ino for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("step", range(8))
@pytest.mark.parametrize("error", [Killed, OSError])
def test_old_and_new_never_stand_side_by_side(tmp_path, monkeypatch, step, error):
    write(tmp_path, b"old", NAMES)
    (tmp_path / "page.html").write_bytes(b"old")
    steps = iter(range(100))

    def breaking(call, partial):
        def done(self, *args, **kwargs):
            if (".partial-" in self.name) == partial and next(steps) == step:
                raise error(28, "No space left on device")
            return call(self, *args, **kwargs)

        return done

    monkeypatch.setattr(Path, "unlink", breaking(Path.unlink, partial=False))
    monkeypatch.setattr(Path, "replace", breaking(Path.replace, partial=True))
    # Seven steps: a page and three tables removed, three files put in their places.
    if step < 7:
        with pytest.raises(StudyError if error is OSError else Killed):
            write(tmp_path, b"new")
    else:
        write(tmp_path, b"new")
    monkeypatch.undo()
    found = state(tmp_path)
    assert len({found[name] for name in (*NAMES, "page.html") if name in found}) <= 1, found
    # What is no table of the set is never missing.
    assert found["input.csv"] in (b"old", b"new")
    assert not any(".partial-" in name for name in found)


def test_an_error_of_whoever_writes_leaves_all_as_it_was(tmp_path):
    write(tmp_path, b"old")
    before = state(tmp_path)
    with pytest.raises(ZeroDivisionError), replaced_together(tmp_path, NAMES) as files:
        files.write("a.csv", bytes(1 // 0))
    assert state(tmp_path) == before
