"""Append-only text files that live for months: whole rows, bounded loss, bounded size."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
from pathlib import Path

from emo_edge.artifacts import make_folder, require_writable, sync_folder
from emo_edge.errors import OutputError, UsageError
from emo_edge.sinks.mending import mend
from emo_edge.sinks.room import require_room

# Between two fsyncs: what a power cut costs. A plain flush lost hundreds of rows on ext4 and left
# NUL bytes; an fsync after every row wears an SD card out.
SYNC_SECONDS = 1.0
CHECK_SECONDS = 1.0


class Log:
    """A log file.

    It is opened at the first `append` (an existing one at once), locked against a second writer and
    mended where a power cut tore its end. A thread makes its rows durable about once a second. A
    log that was renamed, deleted or emptied by others (logrotate) is begun anew. What is no regular
    file (a pipe, a device) is written to without any of this, and without waiting for its reader.

    Args:
        path: Where; missing folders are made.
        header: First row of a new file, or empty.
        begins: What the first row of an existing file must begin with.
        limit: Bytes at which the file is renamed to PATH.1, in place of an older one; 0 for never.

    Raises:
        OutputError: it cannot be written, or somebody else is writing it.
        UsageError: an existing file holds something else.
    """

    def __init__(self, path: Path, *, header: str = "", begins: str = "", limit: int = 0) -> None:
        self._path, self._limit = path, limit
        self._header, self._begins = header.encode(), (begins or header).encode()
        self._open = threading.Lock()  # held while the file is synced, closed or exchanged
        self._closing = threading.Event()
        self._file: int | None = None
        self._regular, self._rest = True, b""
        self._unsynced = self._new = False
        self._failure: OSError | None = None
        self._checked_at = 0.0
        try:
            if path.exists() and not path.is_dir():
                self._begin()
            else:
                require_writable(path)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        self._thread = threading.Thread(target=self._sync_regularly, name="sync", daemon=True)
        self._thread.start()

    def append(self, rows: str) -> None:
        """Write whole rows, all or none; raises `OSError`, after which it may be called again."""
        if self._failure is not None:  # of the thread
            failure, self._failure = self._failure, None
            self._end()
            raise failure
        self._check()
        if self._file is None:
            self._begin()
        try:
            self._write(rows.encode("utf-8", "backslashreplace"))
        except BlockingIOError:  # a pipe whose reader is slow
            raise
        except OSError:
            self._end()  # the next call opens it anew: the disk may be another by then
            raise

    def close(self) -> None:
        """Make the last rows durable and close the file; raises `OSError` if that fails."""
        self._closing.set()
        self._thread.join()
        self._sync()
        self._end()
        if self._failure is not None:
            raise self._failure

    def _begin(self) -> None:
        """Open the file, in whatever state it is."""
        make_folder(self._path.parent)
        how = os.O_RDWR | os.O_CREAT | os.O_APPEND
        if not _is_regular(self._path):
            # A pipe without a reader would hold up the opening, and a full one the writing.
            how = os.O_WRONLY | os.O_NONBLOCK
        file = os.open(self._path, how, 0o666)
        try:
            self._regular = stat.S_ISREG(os.fstat(file).st_mode)
            if self._regular:
                lock(file, self._path)
                self._require_own(file)
                mend(file, self._path)
            empty = not self._regular or os.fstat(file).st_size == 0
            if self._header and empty and os.write(file, self._header) < len(self._header):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except BaseException:
            os.close(file)
            raise
        self._file, self._new, self._unsynced = file, empty, True

    def _require_own(self, file: int) -> None:
        """Refuse to touch a file that is not a log of ours: it would be taken for torn."""
        first = os.pread(file, len(self._begins), 0)
        if not self._begins.startswith(first.rstrip(b"\0")):
            raise UsageError(
                f"{self._path} is there already and holds something else (other columns, or no "
                "log at all): name another file"
            )

    def _check(self) -> None:
        """Once a second: is the file still the one of this name, is there room?"""
        now = time.monotonic()
        if self._file is None or not self._regular or now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = now
        if self._is_another():
            self._end()  # first: the room of a deleted log is free only when nobody holds it
        else:
            require_room(self._file)

    def _is_another(self) -> bool:
        """Whether the open file is not the one of this name any more."""
        assert self._file is not None
        ours = os.fstat(self._file)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _write(self, rows: bytes) -> None:
        assert self._file is not None
        if not self._regular:
            # A row that a slow reader's pipe took half of must be finished first.
            rows = self._rest + rows
            self._rest = rows[os.write(self._file, rows) :] if rows else b""
            return
        size = os.fstat(self._file).st_size
        if self._limit and size > len(self._header) and size + len(rows) > self._limit:
            self._rotate()
            size = len(self._header)
        elif size == 0:  # emptied in its place (logrotate's copytruncate)
            rows = self._header + rows
        written = os.write(self._file, rows)
        self._unsynced = True
        if written < len(rows):
            os.ftruncate(self._file, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _rotate(self) -> None:
        self._sync()
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._end()
        self._begin()

    def _end(self) -> None:
        with self._open:
            if self._file is not None:
                os.close(self._file)
            self._file, self._rest = None, b""

    def _sync_regularly(self) -> None:
        while not self._closing.wait(SYNC_SECONDS):
            self._sync()

    def _sync(self) -> None:
        with self._open:
            if self._file is None or not self._regular or not self._unsynced:
                return
            self._unsynced = False
            try:
                os.fsync(self._file)
                if self._new:
                    sync_folder(self._path.parent)
                    self._new = False
            except OSError as error:
                self._failure = error


def _is_regular(path: Path) -> bool:
    """Whether the path is a regular file, or may become one."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return True


def lock(file: int, path: Path) -> None:
    """Lock an open file; raises `OutputError` naming `path` if another run or option has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(f"cannot write {path}: another run or option is writing it") from None
    except OSError:
        pass  # a file system without locks
