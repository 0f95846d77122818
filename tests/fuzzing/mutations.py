"""Changes sound bytes into hostile ones: everything random comes from the `random.Random` that is given.

A form that is known is first changed in its own terms (:mod:`mutated_documents`, :mod:`mutated_binaries`), so that the
change gets past the parser; one input in four is changed byte by byte, whatever its form.
"""

from __future__ import annotations

import random

HOSTILE_NUMBERS = (
    0, -1, 1, 2, 3, 4, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63),
    2**64, 10**30, 0.5, -0.0, 1e-320, 1e308, 1e-9, 0.1,
)  # fmt: skip
HOSTILE_TEXTS = (
    "", " ", "0", "-1", "1e400", "nan", "NaN", "inf", "-inf", "1_0", "٣", "1,5", "NA", "None", "null", "true", "0x10",
    "2021-02-30", "9999-12-31", "0001-01-01T00:00:00+23:59", "=1+1", "../../x", "/etc/passwd", "C:\\x", "a\nb", "a\rb",
    "a\0b", "a\tb", '"', "'", "\\", "%s%n", "{x}", "[]", "é", "\u202e", "\u2028", "\ufeff", "𝟙", "x" * 300, "9" * 400,
    "9" * 5000, "s3://b/k", "file:///etc/passwd", "P01/frame_01.ome.tif",
)  # fmt: skip
INTERESTING = (0, 1, 2, 3, 7, 16, 127, 128, 255, 256, 4095, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
BYTEWISE_SHARE = 0.25


def mutated(form: str, data: bytes, chance: random.Random) -> bytes:
    """Return bytes that were changed once, in the terms of their form or byte by byte."""
    from mutated_binaries import BINARY_FORMS
    from mutated_documents import DOCUMENT_FORMS

    change = (DOCUMENT_FORMS | BINARY_FORMS).get(form)
    if change is None or chance.random() < BYTEWISE_SHARE:
        return mutated_bytes(data, chance)
    return change(data, chance)


def mutated_bytes(data: bytes, chance: random.Random) -> bytes:
    """Change up to eight places; half of the inputs are changed near their beginning, where headers are."""
    changed = bytearray(data)
    if chance.random() < 0.1:
        return bytes(changed[: chance.randrange(len(changed) + 1)])
    reach = len(changed) if chance.random() < 0.5 else min(len(changed), 600)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        if not changed:
            break
        at = chance.randrange(min(reach, len(changed)) or 1)
        _change_at(changed, at, chance)
    return bytes(changed)


def _change_at(changed: bytearray, at: int, chance: random.Random) -> None:
    kind, length = chance.randrange(7), chance.choice((1, 2, 4, 8, 16, 64))
    if kind == 0:
        changed[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        changed[at] = chance.randrange(256)
    elif kind == 2:
        size = chance.choice((1, 2, 4, 8))
        number = chance.choice(INTERESTING) % 256**size
        changed[at : at + size] = number.to_bytes(size, chance.choice(("little", "big")))
    elif kind == 3:
        changed[at:at] = chance.randbytes(length)
    elif kind == 4:
        del changed[at : at + length]
    elif kind == 5:
        changed[at:at] = changed[at : at + length]
    else:
        source = chance.randrange(len(changed))
        changed[at : at + length] = changed[source : source + length]


def hostile_value(chance: random.Random) -> object:
    """Return a number, a text, a truth value or nothing, of the kind that readers stumble over."""
    return chance.choice(
        (chance.choice(HOSTILE_NUMBERS), chance.choice(HOSTILE_TEXTS), None, True, float("nan"), float("inf"), [], {})
    )


def hostile_text(chance: random.Random) -> str:
    """Return a text of the kind that readers stumble over."""
    return str(chance.choice((chance.choice(HOSTILE_TEXTS), chance.choice(HOSTILE_NUMBERS), chance.randrange(300))))
