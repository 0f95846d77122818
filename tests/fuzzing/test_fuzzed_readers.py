"""Two thousand hostile inputs, always the same ones: a Cher2Error or a sound result comes out of every reader.

``benchmarks/fuzz.py`` does the same with as many as wanted, in processes that may die.
"""

from __future__ import annotations

import random
import time

import pytest
from fuzzed_readers import READERS, Input, hostile_input, read_hostile
from mutated_binaries import BINARY_FORMS
from mutated_documents import DOCUMENT_FORMS
from mutations import mutated
from sound_inputs import sound_inputs

SEED = 8
MOST_S = 5.0
COUNTS = {
    "tiff": 430, "ome": 250, "raster": 350, "celltracks": 70, "omezarr": 70, "nd2": 200, "lif": 130, "czi": 130,
    "protocol": 140, "samples": 180, "clinical": 20, "decisions": 10, "objects": 4, "score": 4, "labels": 2,
    "outlines": 4, "study": 2, "reviews": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return sound_inputs(tmp_path_factory.mktemp("sound"))


def test_there_are_2000_inputs_for_all_readers():
    assert COUNTS.keys() == READERS.keys()
    assert sum(COUNTS.values()) == 2000


@pytest.mark.parametrize("reader", READERS)
def test_what_is_sound_is_read(reader, sounds, tmp_path):
    for sound in sounds[reader]:
        path = next(iter(sound.targets))
        assert read_hostile(reader, Input(sound, path, sound.files[path]), tmp_path / "read") == ""


@pytest.mark.parametrize("reader", READERS)
def test_hostile_inputs_end_in_a_result_or_in_words(reader, sounds, tmp_path, capfd, caplog):
    slowest, refused = 0.0, 0
    for number in range(COUNTS[reader]):
        hostile = hostile_input(reader, sounds[reader], SEED, number)
        start = time.process_time()
        refused += bool(read_hostile(reader, hostile, tmp_path / "read"))
        slowest = max(slowest, time.process_time() - start)
    assert slowest < MOST_S
    assert refused > 0
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@pytest.mark.parametrize("form", [*DOCUMENT_FORMS, *BINARY_FORMS, "bytes"])
def test_the_same_seed_changes_the_same(form, sounds):
    of_form = [s.files[p] for some in sounds.values() for s in some for p, f in s.targets.items() if f == form]
    data = (of_form or [b"\x89PNG" * 20])[0]
    changed = [mutated(form, data, random.Random(seed)) for seed in range(20)]
    assert changed == [mutated(form, data, random.Random(seed)) for seed in range(20)]
    assert sum(other != data for other in changed) > 10
