"""Pictures and folders of pictures."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from emo_edge.contract import read_image
from emo_edge.errors import DataError, SourceError
from emo_edge.messages import warn
from emo_edge.sources.frame import Frame

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})
UNMEANT = (".", "__")  # how folders are called that no one means: .git, __MACOSX


def pictures_below(folder: Path) -> Iterator[Path]:
    """Return the pictures below a folder, by their suffix, without what is not meant.

    Archives of macOS hold a ._face.jpg beside face.jpg, Jupyter keeps .ipynb_checkpoints/.
    """
    return (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURES
        and not path.name.startswith(".")
        and not any(part.startswith(UNMEANT) for part in path.relative_to(folder).parts[:-1])
        and path.is_file()
    )


def pictures_in(folder: Path) -> list[Path]:
    """Return `pictures_below`, sorted; raises `SourceError` if there is none."""
    return pictures_among(f"folder {folder}", pictures_below(folder))


def pictures_among(where: str, paths: Iterable[Path | str]) -> list[Path]:
    """Return the pictures among `paths`, sorted; raises `SourceError` if there is none."""
    pictures = sorted(p for p in map(Path, paths) if p.suffix.lower() in PICTURES)
    if not pictures:
        raise SourceError(f"{where} holds no pictures ({', '.join(sorted(PICTURES))})")
    return pictures


def stills(paths: list[Path], *, skip_unreadable: bool) -> Iterator[Frame]:
    """Yield pictures one by one; an unreadable one is skipped with a warning or refused."""
    unreadable = 0
    for index, path in enumerate(paths):
        try:
            image = read_image(path)
        except DataError as error:
            if not skip_unreadable:
                raise SourceError(str(error)) from error
            warn(f"skipped: {error}")
            unreadable += 1
            continue
        yield Frame(image, index, float(index), time.monotonic(), str(path))
    if unreadable == len(paths):
        raise SourceError(f"none of the {unreadable} pictures is readable")
    if unreadable:
        warn(f"{unreadable} of {len(paths)} pictures were unreadable and skipped")
