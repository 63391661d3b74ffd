"""Room on a disk: outputs stop before it is full, since a board without room does not boot."""

from __future__ import annotations

import errno
import os
from pathlib import Path

# A disk that is this full is full: 2 % of it, at most 256 MiB.
RESERVE_SHARE = 0.02
RESERVE_BYTES = 256 << 20


def require_room(place: Path | int) -> None:
    """Raise `OSError` (ENOSPC) if the disk of a folder or open file is nearly full."""
    disk = os.statvfs(place)
    free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    if free < min(RESERVE_SHARE * size, RESERVE_BYTES):
        raise OSError(errno.ENOSPC, f"the disk is nearly full ({free / 1e6:.0f} MB left)")
