"""What libraries and files say, told without what may name a person."""

from __future__ import annotations

import pytest

from cher2.errors import ImageError
from cher2.images.library_faults import figures, in_own_words, library_faults


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("could not convert string to float: 'Jane Doe'", "could not convert string to float: ..."),
        ("bad key \"Jane 'J' Doe\" here", "bad key ... here"),
        ("[Errno 2] No such file: /home/jane/a.tif", "[Errno 2] No such file: ..."),
        (r"cannot open C:\Users\jane\a.nd2 now", "cannot open ... now"),
        ("requested 8/9 of 12 bytes", "requested 8/9 of 12 bytes"),
        ("", "ValueError"),
        ("x" * 500, "x" * 120),
    ],
)
def test_a_librarys_words_come_without_quotations_and_paths(said, told):
    assert in_own_words(ValueError(said)) == told
    with pytest.raises(ImageError) as caught, library_faults("it fails", "a.tif", "Look", (ValueError,)):
        raise ValueError(said)
    assert caught.value.what == f"it fails ({told})"


@pytest.mark.parametrize(
    ("value", "told"), [("-1", "-1"), ("1e9", "1e9"), ("Jane", "..."), ([4, -2], "[4, -2]"), (7, "7")]
)
def test_a_field_that_should_hold_a_number_is_told_only_as_one(value, told):
    assert figures(value) == told
