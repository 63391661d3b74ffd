"""Whole files or none."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from emo_edge.artifacts import atomic_path, sha256, write_bytes, write_json
from emo_edge.errors import OutputError


class Interruption(BaseException):
    """Like Ctrl-C: no Exception."""


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Interruption])
def test_an_exception_leaves_the_old_file_and_no_other(
    tmp_path: Path, error: type[BaseException]
) -> None:
    final = tmp_path / "kept.json"
    final.write_text("old")
    with pytest.raises(error), atomic_path(final) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert final.read_text() == "old"
    assert list(tmp_path.iterdir()) == [final]


def test_an_exception_leaves_nothing_where_nothing_was(tmp_path: Path) -> None:
    with pytest.raises(ValueError), atomic_path(tmp_path / "new.json") as temporary:
        temporary.write_text("half")
        raise ValueError
    assert list(tmp_path.iterdir()) == []


def test_the_final_name_appears_when_the_body_is_done(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "er" / "video.mp4"
    with atomic_path(final) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".mp4"
        assert temporary.parent == final.parent
        assert not final.exists()
    assert final.read_text() == "new"
    assert list(final.parent.iterdir()) == [final]


def test_a_finished_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        write_bytes(tmp_path / "shared.bin", b"x")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "shared.bin").stat().st_mode) == 0o640


def test_bytes_names_and_new_folders_are_made_durable_in_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the disk then holds is seen in tests/device/test_powercut.py."""
    final, synced, fsync = tmp_path / "etc" / "edge.toml", list[tuple[Path, bool]](), os.fsync

    def seen(number: int) -> None:
        synced.append((Path(f"/proc/self/fd/{number}").readlink(), final.exists()))
        fsync(number)

    monkeypatch.setattr(os, "fsync", seen)
    write_bytes(final, b"x")
    folder, (temporary, early), name = synced
    assert folder == (tmp_path, False)
    assert (temporary.parent, temporary.suffix, early) == (final.parent, ".toml", False)
    assert name == (final.parent, True)


def test_a_folder_that_may_not_be_listed_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir(mode=0o333)
    write_bytes(tmp_path / "drop" / "x", b"x")
    assert (tmp_path / "drop" / "x").read_bytes() == b"x"


def test_a_place_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OutputError, match=r"cannot write .*x\.json"):
        write_json(tmp_path / "file" / "x.json", {})
    assert (tmp_path / "file").read_text() == "kept"


def test_a_folder_in_the_place_of_the_file_is_refused_and_stays(tmp_path: Path) -> None:
    folder = tmp_path / "x.json"
    (folder / "content").mkdir(parents=True)
    with pytest.raises(OutputError):
        write_json(folder, {})
    assert list(tmp_path.iterdir()) == [folder]


def test_json_is_written_readably_and_never_with_nan(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"label": "fröhlich", "values": [1, 2.5, None]})
    assert "fröhlich" in path.read_text(encoding="utf-8")
    assert json.loads(path.read_text()) == {"label": "fröhlich", "values": [1, 2.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"values": float("nan")})
    assert json.loads(path.read_text())["values"] == [1, 2.5, None]


def test_sha256_is_the_hash_of_the_bytes() -> None:
    assert sha256(b"abc") == hashlib.sha256(b"abc").hexdigest()
    assert sha256(b"abc").startswith("ba7816bf")
