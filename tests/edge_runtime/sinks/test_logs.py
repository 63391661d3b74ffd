"""JSON lines and CSV: whole rows in every state that a disk and a power cut leave behind."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.framing import a_frame, a_reading
from emo_edge.errors import OutputError, UsageError
from emo_edge.sinks.jsonl import JsonLines
from emo_edge.sinks.log import Log
from emo_edge.sinks.records import as_record
from emo_edge.sinks.table import Table

LABELS = ("happy", "sad")
HEADER = "utc,source,frame,time,track,label,confidence,age,x,y,w,h,p_happy,p_sad"


def test_a_record_says_where_when_who_and_what() -> None:
    assert as_record(a_frame(7, 0.7), a_reading(at=0.7), live=False) == {
        "source": "talk.mp4",
        "frame": 7,
        "time": 0.7,
        "track": 1,
        "label": "happy",
        "confidence": 0.8124,
        "probabilities": {"happy": 0.8124, "sad": 0.1876},
        "box": [10.0, 20.1, 30.0, 40.0],
        "age": 0.0123,
    }


def test_a_live_record_says_the_time_of_day_of_its_capture() -> None:
    captured = datetime.now(timezone.utc) - timedelta(hours=1)
    an_hour_ago = a_reading(at=time.monotonic() - 3600)
    record = as_record(a_frame(), an_hour_ago, live=True)
    assert abs(datetime.fromisoformat(record["utc"]) - captured) < timedelta(seconds=1)
    assert "utc" not in as_record(a_frame(), an_hour_ago, live=False)


def test_json_lines_are_whole_after_every_frame_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    for run in range(2):
        with closing(JsonLines(str(path), "video")) as sink:
            for index in range(3):
                sink(a_frame(index), [a_reading(track=1), a_reading(track=2)])
                lines = path.read_text().splitlines()
                assert len([json.loads(line) for line in lines]) == 6 * run + 2 * (index + 1)


def test_a_csv_has_one_header_however_often_it_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "new" / "readings.csv"
    for _ in range(2):
        with closing(Table(str(path), "video", LABELS)) as sink:
            sink(a_frame(), [])
            sink(a_frame(7, 0.7), [a_reading(at=0.7), a_reading("sad", track=2, at=0.7)])
    lines = path.read_text().splitlines()
    assert (lines.count(HEADER), len(lines)) == (1, 5)
    assert lines[1] == ",talk.mp4,7,0.7,1,happy,0.8124,0.0123,10.0,20.1,30.0,40.0,0.8124,0.1876"
    assert [row["label"] for row in csv.DictReader(lines)] == ["happy", "sad"] * 2


@pytest.mark.parametrize("name", ['a,"b".mp4', "a\nb.mp4", "笑顔.mp4", "\udcff.mp4"])
def test_any_name_of_a_source_is_one_row(tmp_path: Path, name: str) -> None:
    path = tmp_path / "r.csv"
    with closing(Table(str(path), "live", LABELS)) as sink:
        sink(a_frame(name=name), [a_reading()])
    _, line = path.read_text(encoding="utf-8").splitlines()
    (row,) = csv.DictReader([HEADER, line])
    assert row["p_sad"] == "0.1876"
    assert datetime.fromisoformat(row["utc"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.csv", f"{HEADER},p_contempt\n"),
        ("r.csv", "a,b\n1,2\n"),
        ("r.jsonl", '{"a": 1}'),
        ("r.jsonl", "\xff\xd8 a picture"),
    ],
)
def test_a_file_that_holds_something_else_is_left_alone(
    tmp_path: Path, name: str, content: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UsageError, match="name another file"):
        JsonLines(str(path), "video") if name == "r.jsonl" else Table(str(path), "video", LABELS)
    assert path.read_text() == content


def test_a_log_that_another_run_writes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with closing(JsonLines(str(path), "video")) as first:
        first(a_frame(), [a_reading()])
        with pytest.raises(OutputError, match="another run or option"):
            JsonLines(str(path), "video")


@pytest.mark.parametrize("target", [".", "missing/file/r.jsonl", "/proc/r.jsonl"])
def test_a_place_that_cannot_be_written_is_refused_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "missing").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        JsonLines(target, "video")
    assert [path.name for path in tmp_path.iterdir()] == ["missing"]


# Power cuts --------------------------------------------------------------------------------------

ROW = '{"source": "a", "n": %d}\n'


@given(
    whole=st.integers(0, 5),
    torn=st.one_of(
        st.sampled_from([b"", b'{"sour', b"\0" * 70_000, b'{"source": "a"\0\0\0\n', b"\0\n\0\n"]),
        st.binary(max_size=40).map(lambda junk: junk.replace(b"\n", b"") + b"\0"),
    ),
)
def test_a_torn_end_is_cut_and_every_whole_row_stays(
    tmp_path_factory: pytest.TempPathFactory, whole: int, torn: bytes
) -> None:
    path = tmp_path_factory.mktemp("log") / "r.jsonl"
    rows = "".join(ROW % n for n in range(whole))
    begins = b'{"source": '
    if not whole and not begins.startswith(torn[: len(begins)].rstrip(b"\0")):
        return  # that is no log
    path.write_bytes(rows.encode() + torn)
    log = Log(path, begins=begins.decode())
    log.append(ROW % 99)
    log.close()
    assert path.read_text() == rows + ROW % 99


def test_what_was_cut_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(f"{HEADER}\n1,2\n3,".encode() + b"\0" * 98)
    with closing(Table(str(path), "video", LABELS)):
        assert path.read_text() == f"{HEADER}\n1,2\n"
    assert "cut 100 bytes off its end" in capsys.readouterr().err


def test_a_torn_header_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(HEADER[:20].encode() + b"\0\0")
    with closing(Table(str(path), "video", LABELS)):
        pass
    assert path.read_text() == f"{HEADER}\n"


def test_rows_are_durable_about_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("emo_edge.sinks.log.SYNC_SECONDS", 0.02)
    monkeypatch.setattr("emo_edge.sinks.log.os.fsync", lambda f: synced.append(os.fstat(f).st_size))
    log = Log(tmp_path / "r.jsonl", begins="{")
    log.append("{}\n")
    while not synced:
        log.append("")
    log.append("{}\n{}\n")
    log.close()
    assert synced[-1] == 9


# Disks -------------------------------------------------------------------------------------------


def test_a_full_disk_tears_no_row_and_room_lets_the_log_go_on(small_disk: Path) -> None:
    path = small_disk / "r.jsonl"
    filler = small_disk / "filler"
    row = ROW % 1
    log = Log(path, begins="{")
    log.append(row)
    filler.write_bytes(b"x" * (900 << 10))
    with pytest.raises(OSError, match=r"No space left|nearly full"):
        for _ in range(10_000):
            log.append(row * 100)
    kept = path.read_text()
    assert kept == row * kept.count("\n")
    filler.unlink()
    log.append(row)
    log.close()
    assert path.read_text() == kept + row


def test_a_log_stops_before_the_disk_is_full(small_disk: Path) -> None:
    log = Log(small_disk / "r.jsonl", begins="{")
    (small_disk / "filler").write_bytes(b"x" * (1010 << 10))
    with pytest.raises(OSError, match=r"nearly full \(0 MB left\)"):
        log.append(ROW)
        log.append(ROW)
    log.close()


def test_a_file_size_limit_tears_no_row(tmp_path: Path) -> None:
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom emo_edge.sinks.log import Log\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "log = Log(Path(sys.argv[1]), begins='{')\n"
        "try:\n  [log.append('{\"n\": 123456}\\n') for _ in range(1000)]\n"
        "except OSError as error: print(error.strerror)\nlog.close()"
    )
    path = tmp_path / "r.jsonl"
    words = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "No space left on device\n"
    lines = path.read_text().splitlines()
    assert len(lines) == 1000 // 14
    assert set(lines) == {'{"n": 123456}'}


def test_a_log_of_limited_size_keeps_one_older_file(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    with closing(Table(str(path), "video", LABELS, limit=2000)) as sink:
        for index in range(100):
            sink(a_frame(index), [a_reading()])
    older = tmp_path / "r.csv.1"
    assert {entry.name for entry in tmp_path.iterdir()} == {"r.csv", "r.csv.1"}
    frames = []
    for file in (older, path):
        assert file.stat().st_size <= 2000
        header, *rows = file.read_text().splitlines()
        assert header == HEADER
        frames += [int(row.split(",")[2]) for row in rows]
    assert frames == list(range(100))[-len(frames) :]


@pytest.mark.parametrize("move", [Path.unlink, lambda path: path.rename(f"{path}.old")])
def test_a_log_that_was_taken_away_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, move: Callable[[Path], object]
) -> None:
    monkeypatch.setattr("emo_edge.sinks.log.CHECK_SECONDS", 0.0)
    path = tmp_path / "r.csv"
    with closing(Table(str(path), "video", LABELS)) as sink:
        sink(a_frame(1), [a_reading()])
        move(path)
        sink(a_frame(2), [a_reading()])
    header, row = path.read_text().splitlines()
    assert (header, row.split(",")[2]) == (HEADER, "2")


def test_a_deleted_log_gives_its_room_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emo_edge.sinks.log.CHECK_SECONDS", 0.0)
    path = tmp_path / "r.jsonl"
    log = Log(path, begins="{")
    log.append(ROW)

    def full(file: int) -> None:
        if os.fstat(file).st_nlink == 0:  # as long as somebody holds what was deleted
            raise OSError(errno.ENOSPC, "nearly full")

    monkeypatch.setattr("emo_edge.sinks.log.require_room", full)
    path.unlink()
    log.append(ROW)
    log.close()
    assert path.read_text() == ROW


def test_a_log_that_was_emptied_in_its_place_has_its_header_again(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    with closing(Table(str(path), "video", LABELS)) as sink:
        sink(a_frame(1), [a_reading()])
        os.truncate(path, 0)  # logrotate's copytruncate
        sink(a_frame(2), [a_reading()])
        sink(a_frame(3), [a_reading()])
    header, *rows = path.read_text().splitlines()
    assert (header, [row.split(",")[2] for row in rows]) == (HEADER, ["2", "3"])


# Pipes and devices -------------------------------------------------------------------------------


def test_a_full_device_is_an_error_of_the_disk() -> None:
    with closing(JsonLines("/dev/full", "video")) as sink:
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                sink(a_frame(), [a_reading()])


def test_a_pipe_without_a_reader_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="cannot write"):
        JsonLines(str(tmp_path / "pipe"), "video")


def test_a_pipe_whose_reader_is_slow_loses_whole_lines_and_never_waits(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    got, lost = b"", 0
    with closing(JsonLines(str(pipe), "video")) as sink:
        for index in range(1000):
            try:
                sink(a_frame(index), [a_reading(track=track) for track in range(30)])
            except OSError:
                lost += 1
        got += os.read(reader, 1 << 20)
        sink(a_frame(1000), [a_reading()])
        got += os.read(reader, 1 << 20)
    os.close(reader)
    assert lost > 900
    frames = [json.loads(line)["frame"] for line in got.decode().splitlines()]
    assert frames[0] == 0
    assert frames[-1] == 1000
