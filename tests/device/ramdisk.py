"""cpio archives in the "newc" form, which Linux unpacks into its first file system."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# Documentation/driver-api/early-userspace/buffer-format.rst of Linux: 13 fields in hexadecimal.
MAGIC = b"070701"
ALIGNMENT = 4


class Ramdisk:
    """An archive while it is written; everything belongs to root.

    Args:
        file: Where to.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._entries = file, 0

    def add_folder(self, name: str) -> None:
        """Add an empty folder."""
        self._add(name, stat.S_IFDIR | 0o755, b"", 0)

    def add_file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Add a file."""
        self._add(name, stat.S_IFREG | mode, data, 0)

    def add_tree(self, root: Path, below: str = "", leave_out: tuple[str, ...] = ()) -> None:
        """Add what is in `root`, less whatever is called one of `leave_out`."""
        for path in _walk(root, leave_out):
            name, status = f"{below}{path.relative_to(root)}", path.lstat()
            if stat.S_ISLNK(status.st_mode):
                data = os.fsencode(path.readlink())
            elif stat.S_ISREG(status.st_mode):
                data = path.read_bytes()
            elif stat.S_ISDIR(status.st_mode):
                data = b""
            else:
                continue
            self._add(name, status.st_mode, data, int(status.st_mtime))

    def end(self) -> None:
        """Finish the archive."""
        self._add("TRAILER!!!", 0, b"", 0)

    def _add(self, name: str, mode: int, data: bytes, modified: int) -> None:
        self._entries += 1
        raw = os.fsencode(name) + b"\0"
        fields = (self._entries, mode, 0, 0, 1, modified, len(data), 0, 0, 0, 0, len(raw), 0)
        header = MAGIC + b"".join(b"%08X" % field for field in fields) + raw
        for part in (header, data):
            self._file.write(part + bytes(-len(part) % ALIGNMENT))


def _walk(root: Path, leave_out: tuple[str, ...]) -> Iterator[Path]:
    for path in sorted(root.iterdir()):
        if path.name in leave_out:
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, leave_out)
