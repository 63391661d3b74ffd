"""Whole files or none: everything that is kept is written under a temporary name and renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emo_edge.errors import OutputError, UsageError

PIECE_BYTES = 1 << 20


def as_text(name: str | Path) -> str:
    """Return a file name for records, plots and stdout, with what is not UTF-8 escaped."""
    return os.fsencode(name).decode(errors="backslashreplace")


@contextmanager
def atomic_path(final: Path, *, private: bool = False, transient: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `final`; on success fsync it and rename it to `final`.

    The temporary name keeps the suffix, since OpenCV and Keras choose the format by it. What is
    `private` can be read by its owner alone, from the first byte on. What is done outlives a power
    cut; of what is `transient`, replaced all the time, the one before may come back.
    Raises `OutputError` if the place cannot be written; whatever stood there before stays.
    """
    temporary = _temporary_beside(final)
    try:
        yield temporary
        _publish(temporary, final, private=private)
        if not transient:  # a second write of the journal
            sync_folder(final.parent)
    except OSError as error:
        raise OutputError(f"cannot write {final}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(final: Path) -> None:
    """Raise `OutputError` now, rather than after long work, if `final` cannot be written.

    Leaves nothing behind: folders that are missing are not made yet.
    """
    try:
        if final.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        folder = next(place for place in final.absolute().parents if place.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"cannot write {final}: {error.strerror or error}") from error


def _temporary_beside(final: Path) -> Path:
    try:
        if final.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        make_folder(final.parent)
        handle, name = tempfile.mkstemp(
            dir=final.parent, prefix=f".{final.stem}.", suffix=final.suffix
        )
    except OSError as error:
        raise OutputError(f"cannot write {final}: {error.strerror or error}") from error
    os.close(handle)
    return Path(name)


def _publish(temporary: Path, final: Path, *, private: bool) -> None:
    """Make the bytes durable, then visible: a power cut leaves the old file or the new one."""
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    if not private:  # as mkstemp made it
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
    temporary.replace(final)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, so that they outlive a power cut."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: fsync of a file does not promise its name."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one that may be written to, and not read
        return
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that promises no such thing
            raise
    finally:
        os.close(number)


def write_bytes(final: Path, content: bytes, *, private: bool = False) -> None:
    """Write `content` to `final`, whole or not at all; see `atomic_path`."""
    with atomic_path(final, private=private) as temporary:
        temporary.write_bytes(content)


def write_json(final: Path, content: Mapping[str, Any]) -> None:
    """Write `content` to `final` as indented JSON, whole or not at all."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    # What a name holds that is not UTF-8 becomes JSON's \udc80 and is read back as it was.
    write_bytes(final, f"{text}\n".encode(errors="backslashreplace"))


def opencv_name(name: Path | str) -> str:
    """Return a name as OpenCV may be given it: one that is not UTF-8 would crash the process.

    Raises `UsageError` for such a name.
    """
    text = str(name)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{text!a} is not UTF-8: rename it, or its folder") from None
    return text


def read_at_most(path: Path, limit: int) -> bytes:
    """Return what a file holds; raises `OSError` if it is more (a device may never end)."""
    content = read_beginning(path, limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit >> 20} MiB")
    return content


def read_beginning(path: Path, size: int) -> bytes:
    """Return the first `size` bytes of a file, or all of a smaller one; raises `OSError`."""
    pieces: list[bytes] = []
    with path.open("rb") as file:
        # Not all at once: Python would ask for the whole size first, a board's whole memory.
        while size > 0 and (piece := file.read(min(size, PIECE_BYTES))):
            pieces.append(piece)
            size -= len(piece)
    return b"".join(pieces)


def sha256(content: bytes) -> str:
    """Return the SHA-256 of `content` as hexadecimal text."""
    return hashlib.sha256(content).hexdigest()
