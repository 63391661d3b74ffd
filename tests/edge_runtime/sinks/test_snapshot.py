"""The newest annotated face as a picture."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.framing import PICTURE, a_frame, a_reading
from emo_edge.contract import read_image
from emo_edge.errors import OutputError, UsageError
from emo_edge.sinks.snapshot import Snapshot

BRIGHT = dataclasses.replace(a_frame(), image=np.full_like(PICTURE, 250))


@pytest.mark.parametrize("name", ["newest.png", "newest.jpg", "NEWEST.PNG"])
def test_a_snapshot_is_the_newest_picture_with_a_face(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / name
    with closing(Snapshot(path)) as sink:
        sink(a_frame(), [])
        assert not path.exists()
        sink(a_frame(), [a_reading()])
        first = read_image(path)
        sink(BRIGHT, [a_reading()])
        sink(a_frame(), [])
    assert list(path.parent.iterdir()) == [path]
    assert read_image(path).mean() > first.mean() + 50


def test_a_snapshot_is_written_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("emo_edge.sinks.snapshot.time.monotonic", lambda: clock[0])
    path = tmp_path / "newest.png"
    written = set()
    sink = Snapshot(path)
    for number in range(100):
        clock[0] = 100 + number / 10
        sink(a_frame(), [a_reading()])
        written.add(path.stat().st_ino)
        path.rename(tmp_path / f"{number}.png") if number % 10 == 0 else None
        path.touch()
    assert len(list(tmp_path.glob("*0.png"))) == 10
    assert all(file.stat().st_size for file in tmp_path.glob("?0.png"))


def test_a_face_that_could_not_be_written_is_written_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emo_edge.sinks.snapshot.SECONDS", 0.0)
    path = tmp_path / "newest.png"
    sink = Snapshot(path)
    path.mkdir()
    with pytest.raises(OutputError):
        sink(a_frame(), [a_reading()])
    path.rmdir()
    assert sink(a_frame(), []) is True
    assert sink(a_frame(), []) is False
    assert read_image(path).shape == PICTURE.shape


@pytest.mark.parametrize("name", ["out.txt", "out"])
def test_a_suffix_that_cannot_be_written_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.jpg or \.png"):
        Snapshot(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_too_large_for_its_format_is_an_output_error(tmp_path: Path) -> None:
    vast = dataclasses.replace(a_frame(), image=np.zeros((8, 70_000, 3), np.uint8))
    sink = Snapshot(tmp_path / "x.jpg")
    for write in (lambda: sink(vast, [a_reading()]), sink.close):
        with pytest.raises(OutputError, match="write"):
            write()
    assert list(tmp_path.iterdir()) == []
