"""A copy of slow storage (a mounted drive) on a fast one, made once."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

from emo_edge.artifacts import atomic_path, require_writable
from emo_edge.errors import DataError, OutputError
from emo_edge.messages import say
from emo_train.data.arrays import LABELS_FILE

COPIERS = 8  # slow storage answers late, not thinly


def cached(source: Path, cache: Path) -> Path:
    """Return a copy of `source` (folder or .npz) below `cache`, brought up to date.

    A file takes the labels.txt beside it along. Each is copied under a temporary name and renamed,
    keeps its time of change, and counts as there if size and time agree: an interrupted copy goes
    on where it stopped. Files that are no longer in `source` leave the copy.

    Raises `DataError` if `source` cannot be read, `OutputError` if `cache` cannot be written.
    """
    source = source.resolve()
    digest = hashlib.sha256(str(source).encode()).hexdigest()[:12]
    place = cache / f"{source.stem}-{digest}"
    if not source.exists():
        raise DataError(f"data folder {source} does not exist")
    if cache.resolve().is_relative_to(source):
        raise OutputError(f"--cache-dir {cache} is inside {source}: choose a place outside")
    root = source.parent if source.is_file() else source
    pairs = [(path, place / path.relative_to(root)) for path in _files(source)]
    missing = [(path, copy) for path, copy in pairs if not _same(path, copy)]
    if missing:
        size = sum(path.stat().st_size for path, _ in missing)
        say(f"copying {len(missing):,} files ({size / 1e6:.0f} MB) to {place}")
        _require_room(cache, size)
    with ThreadPoolExecutor(COPIERS) as pool:
        for _ in pool.map(lambda pair: _copy(*pair), missing):
            pass
    _forget(place, {copy for _, copy in pairs})
    return place / source.name if source.is_file() else place


def _files(source: Path) -> Iterator[Path]:
    """Yield what reading `source` would find: behind links, too, but nothing that is not there."""
    if source.is_file():
        yield from filter(Path.is_file, (source, source.with_name(LABELS_FILE)))
        return
    seen: set[str] = set()
    for folder, inner, names in os.walk(source, onerror=_unreadable, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back
            inner.clear()
            continue
        seen.add(real)
        yield from filter(Path.is_file, (Path(folder) / name for name in sorted(names)))


def _unreadable(error: OSError) -> NoReturn:
    raise DataError(f"cannot read {error.filename}: {error.strerror}") from error


def _same(path: Path, copy: Path) -> bool:
    if not copy.is_file():
        return False
    theirs, ours = path.stat(), copy.stat()
    return (theirs.st_size, theirs.st_mtime_ns) == (ours.st_size, ours.st_mtime_ns)


def _copy(path: Path, copy: Path) -> None:
    try:
        before, original = path.stat(), path.open("rb")
    except OSError as error:
        _unreadable(error)
    with original, atomic_path(copy) as temporary:
        with temporary.open("wb") as file:
            shutil.copyfileobj(original, file)
        if temporary.stat().st_size != before.st_size:
            raise DataError(f"{path} changed while it was copied")
        os.utime(temporary, ns=(before.st_atime_ns, before.st_mtime_ns))


def _require_room(cache: Path, size: int) -> None:
    require_writable(cache / "room")
    there = next(path for path in (cache, *cache.resolve().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if size > free:
        raise OutputError(f"{cache} has room for {free / 1e6:.0f} MB, {size / 1e6:.0f} are needed")


def _forget(place: Path, wanted: set[Path]) -> None:
    if place.is_dir():
        for path in place.rglob("*"):
            if path.is_file() and path not in wanted:
                path.unlink()
