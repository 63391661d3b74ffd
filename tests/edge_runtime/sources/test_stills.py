"""Pictures, folders and globs of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.drawn import save
from emo_edge.errors import SourceError, UsageError
from emo_edge.health import Health
from emo_edge.sources import Asked, Frame, open_source


def grey(value: int) -> np.ndarray:
    return np.full((20, 30, 3), value, np.uint8)


def all_frames(text: str) -> list[Frame]:
    with open_source(text) as source:
        return [frame for frame in source.frames if frame is not None]


def test_a_picture_is_one_frame(tmp_path: Path) -> None:
    path = save(tmp_path / "face.png", grey(77))
    with open_source(str(path)) as source:
        (frame,) = source.frames
    assert frame is not None
    assert (source.kind, source.fps) == ("stills", 1.0)
    assert (frame.index, frame.captured_at, frame.name) == (0, 0.0, str(path))
    np.testing.assert_array_equal(frame.image, grey(77))


def test_a_folder_is_read_in_order_with_its_subfolders(tmp_path: Path) -> None:
    names = ["a.png", "b/c.JPG", "b/d.bmp", "e.webp"]
    for value, name in enumerate(names):
        save(tmp_path / name, grey(60 * value))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "b" / "._d.bmp").write_bytes(b"what macOS keeps beside d.bmp")
    save(tmp_path / ".ipynb_checkpoints" / "a-checkpoint.png", grey(1))
    (tmp_path / "f.png").mkdir()
    frames = all_frames(str(tmp_path))
    assert [Path(frame.name).relative_to(tmp_path).as_posix() for frame in frames] == names
    assert [frame.index for frame in frames] == [0, 1, 2, 3]


def test_a_glob_is_read_in_order_as_far_as_it_is_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value, name in enumerate(["a1.png", "a2.JPG", "b.png", "deep/a3.png"]):
        save(tmp_path / name, grey(60 * value))
    (tmp_path / "a0.txt").write_text("no picture")

    def names(pattern: str) -> list[str]:
        return [Path(frame.name).name for frame in all_frames(pattern)]

    assert names(f"{tmp_path}/a*") == ["a1.png", "a2.JPG"]
    assert names(f"{tmp_path}/**/a?.png") == ["a1.png", "a3.png"]
    monkeypatch.chdir(tmp_path)
    assert names("[ab]*.png") == ["a1.png", "b.png"]
    with pytest.raises(SourceError, match=r"\*\.webp holds no pictures"):
        all_frames("*.webp")


def test_a_picture_whose_name_looks_like_a_glob_is_that_picture(tmp_path: Path) -> None:
    save(tmp_path / "a1.png", grey(1))
    odd = save(tmp_path / "a[1].png", grey(200))
    (frame,) = all_frames(str(odd))
    assert frame.image.mean() == 200


def test_files_are_counted_in_the_health_and_have_no_size_to_ask_for(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.png", grey(number))
    health = Health()
    with open_source(str(tmp_path), health) as source:
        assert len(list(source.frames)) == 3
    seen = health.source
    assert (seen.name, seen.kind, seen.frames) == (str(tmp_path), "stills", 3)
    with (
        pytest.raises(UsageError, match="this source has its own"),
        open_source(str(tmp_path), asked=Asked(fps=5)),
    ):
        pass


def test_an_unreadable_picture_among_good_ones_is_named_counted_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "a.png", grey(1))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    save(tmp_path / "c.png", grey(3))
    assert [Path(frame.name).name for frame in all_frames(str(tmp_path))] == ["a.png", "c.png"]
    said = capsys.readouterr().err
    assert f"skipped: {tmp_path / 'broken.jpg'}" in said
    assert "1 of 3 pictures" in said


def test_a_folder_of_unreadable_pictures_is_refused(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png"):
        (tmp_path / name).write_bytes(b"junk")
    with pytest.raises(SourceError, match="none of the 2 pictures is readable"):
        all_frames(str(tmp_path))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.mkdir(), "holds no pictures"),
        (lambda p: p.write_text("neither"), "is neither a picture nor a video"),
        (lambda p: p.write_bytes(b""), "is neither a picture nor a video"),
        (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n cut"), "is not a readable picture"),
        (lambda _: None, "no such file, folder or camera"),
    ],
    ids=["empty folder", "text", "empty file", "broken picture", "nothing"],
)
def test_what_yields_no_frame_is_refused(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "source"
    make(path)
    with pytest.raises(SourceError, match=message):
        all_frames(str(path))


@pytest.mark.parametrize("text", ["x" * 5000, "a\0b"])
def test_any_odd_text_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="cannot open"):
        all_frames(text)
