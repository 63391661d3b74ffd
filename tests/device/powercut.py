"""What a disk may hold after a power cut, from QEMU's log of what was written to it.

A disk keeps what it was told to flush. Of what was written since, it may have kept any part, in
any order, sector groups of a page at a time. From one log therefore come as many power cuts as
one likes.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The form of Linux's dm-log-writes (drivers/md/dm-log-writes.c), as QEMU's blklogwrites writes it.
SUPER = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")  # sector, sectors, flags, bytes of data
MAGIC = 0x6A736677736872
SECTOR = 512
PAGE = 4096
FLUSH, DISCARD = 1, 4


@dataclass(frozen=True)
class Write:
    """One write, or a flush of all before it (`data` may be empty then)."""

    offset: int
    data: bytes
    flush: bool


def read_log(path: Path) -> list[Write]:
    """Return the log in order; what its writer was cut off in is left out."""
    writes = []
    with path.open("rb") as file:
        magic, _, _, sector = SUPER.unpack(file.read(SUPER.size))
        if (magic, sector) != (MAGIC, SECTOR):
            raise ValueError(f"{path} is no log of writes")
        file.seek(SECTOR)
        while len(head := file.read(SECTOR)) == SECTOR:
            start, sectors, flags, _ = ENTRY.unpack_from(head)
            if not flags & (FLUSH | DISCARD) and not sectors:
                break  # behind the end
            data = b"" if flags & DISCARD else file.read(sectors * SECTOR)
            writes.append(Write(start * SECTOR, data, bool(flags & FLUSH)))
    return writes


@dataclass(frozen=True)
class Cut:
    """A power cut.

    Attributes:
        after: Writes that were begun before it.
        at: The guest's monotonic seconds, by its latest mark.
        disk: What the disk holds.
    """

    after: int
    at: float
    disk: bytes


def cuts(empty: bytes, writes: list[Write], count: int, mark_at: int, seed: int) -> Iterator[Cut]:
    """Yield power cuts, spread over the log.

    Args:
        empty: The disk before it was written to.
        writes: From `read_log`.
        count: How many.
        mark_at: Offset of the guest's marks, JSON {"at": seconds}.
        seed: Of what is lost.
    """
    rng = random.Random(seed)
    places = sorted(rng.sample(range(1, len(writes) + 1), min(count, len(writes))))
    durable, pending, at = bytearray(empty), list[Write](), 0.0
    for number, write in enumerate(writes, 1):
        if write.flush:
            for earlier in pending:
                _apply(durable, earlier.offset, earlier.data)
            pending.clear()
        if write.offset == mark_at and write.data:
            at = json.loads(write.data)["at"]
        if write.data:
            pending.append(write)
        if places and number == places[0]:
            del places[0]
            yield Cut(number, at, _torn(durable, pending, rng))


def _torn(durable: bytearray, pending: list[Write], rng: random.Random) -> bytes:
    """Return the disk with some pages of what was not flushed."""
    disk, kept = bytearray(durable), rng.choice((0.0, 0.5, 0.9))
    for write in pending:
        for start in range(0, len(write.data), PAGE):
            if rng.random() < kept:
                _apply(disk, write.offset + start, write.data[start : start + PAGE])
    return bytes(disk)


def _apply(disk: bytearray, offset: int, data: bytes) -> None:
    disk[offset : offset + len(data)] = data
