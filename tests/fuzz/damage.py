"""Seeded damage to bytes: the same dice do the same damage."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

# Where sizes, counts and signs turn over.
NUMBERS = (
    *(0, 1, 2, 7, 8, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32 - 4, 0x10000000, 0x7FFFFFF0),
)
MOST_STEPS = 4


def damaged(dice: random.Random, content: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Return `content` after one to four steps of damage; `others` lend pieces."""
    data = bytearray(content)
    for _ in range(dice.randint(1, MOST_STEPS)):
        if not data:
            break
        dice.choice(STEPS)(dice, data, others)
    return bytes(data)


def number_into(dice: random.Random, data: bytearray, at: int) -> None:
    """Write a number of 1, 2 or 4 bytes, of either byte order, at `at`."""
    size, order = dice.choice((1, 2, 2, 4, 4, 4)), dice.choice("<>")
    near = int.from_bytes(data[at : at + size], "little") + dice.choice((-4, -1, 1, 4, 256))
    value = dice.choice((*NUMBERS, near, dice.getrandbits(32))) % (1 << 8 * size)
    packed = struct.pack(order + {1: "B", 2: "H", 4: "I"}[size], value)
    data[at : at + size] = packed[: len(data) - at]


def _flip(dice: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _number(dice: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    # Heads hold the sizes.
    end = dice.choice((min(64, len(data)), len(data)))
    number_into(dice, data, dice.randrange(end))


def _cut(dice: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[dice.randrange(len(data)) :]


def _remove(dice: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start, size = _slice(dice, data)
    del data[start : start + size]


def _repeat(dice: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start, size = _slice(dice, data)
    data[start:start] = data[start : start + size] * dice.choice((1, 1, 2, 16))


def _noise(dice: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start, size = _slice(dice, data)
    data[start : start + size] = dice.randbytes(dice.choice((size, 0, 4, 32)))


def _splice(dice: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    other = dice.choice(others) if others else bytes(data)
    if other:
        start, size = _slice(dice, bytearray(other))
        at = dice.randrange(len(data))
        data[at : at + dice.choice((0, size))] = other[start : start + size]


def _slice(dice: random.Random, data: bytearray) -> tuple[int, int]:
    start = dice.randrange(len(data))
    return start, dice.randint(1, max(1, min(len(data) - start, dice.choice((4, 64, 4096)))))


STEPS = (_flip, _flip, _number, _number, _number, _cut, _remove, _repeat, _noise, _splice)
