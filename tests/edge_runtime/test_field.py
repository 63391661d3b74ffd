"""What happens to a board in a cupboard: power and storage fail, the clock jumps, /tmp is gone."""

from __future__ import annotations

import csv
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

import emo_edge
from edge_runtime.drawn import INT8
from edge_runtime.streaming import Camera
from emo_edge.contract import read_image
from running import command_line
from running import wait_until as wait_until_in

KILLS = 6
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def edge(*words: str | Path) -> list[str]:
    return command_line("emo-edge", *words)


def wait_until(happened: Callable[[], bool]) -> None:
    wait_until_in(happened, 120.0)  # a process that starts on a busy machine


def started(words: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def rows_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


# Power -------------------------------------------------------------------------------------------


def test_a_run_that_is_killed_again_and_again_leaves_whole_files(tmp_path: Path) -> None:
    dice = random.Random(5)
    jsonl, table, newest = tmp_path / "r.jsonl", tmp_path / "r.csv", tmp_path / "newest.png"
    outputs = ("--jsonl", jsonl, "--csv", table, "--snapshot", newest)
    with Camera() as camera:
        words = edge("--camera", camera.url, "--model", INT8, "--detector", "none", *outputs)
        for _ in range(KILLS):
            before = rows_in(jsonl)
            with started(words) as run:
                wait_until(lambda: rows_in(jsonl) > before + 3 and newest.exists())  # noqa: B023
                time.sleep(dice.uniform(0, 0.3))
                run.kill()
            assert read_image(newest).ndim == 3
        with started(words) as run:  # the power is back for good
            before = rows_in(jsonl)
            wait_until(lambda: rows_in(jsonl) > before + 3)
            run.send_signal(signal.SIGTERM)
            assert run.wait() == 0
    records = [json.loads(line) for line in jsonl.read_text().splitlines()]
    assert len(records) > 3 * (KILLS + 1)
    with table.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert all(None not in row and None not in row.values() for row in rows)


WRITERS = {
    "detector": "write_bytes(path, bytes([n % 256]) * 232_589)",
    "configuration": "write_bytes(path, bytes([n % 256]) * 9_000, private=True)",
    "tuning": "write_json(path, {'n': [n] * 20_000})",
}


@pytest.mark.parametrize("what", WRITERS)
def test_what_is_killed_while_it_is_written_is_the_old_file_or_the_new_one(
    tmp_path: Path, what: str
) -> None:
    dice, path, kept = random.Random(6), tmp_path / "kept", set()
    for number in range(KILLS):
        code = (
            "import sys; from itertools import count; from pathlib import Path\n"
            "from emo_edge.artifacts import write_bytes, write_json\n"
            f"path = Path(sys.argv[1])\nfor n in count({100 * number}): {WRITERS[what]}"
        )
        before = path.stat().st_mtime_ns if path.exists() else 0
        with started([sys.executable, "-c", code, str(path)]) as run:
            wait_until(lambda: path.exists() and path.stat().st_mtime_ns != before)  # noqa: B023
            time.sleep(dice.uniform(0, 0.1))
            assert run.poll() is None
            run.kill()
        content = path.read_bytes()
        values = json.loads(content)["n"] if what == "tuning" else content
        assert len(values) == {"detector": 232_589, "configuration": 9_000, "tuning": 20_000}[what]
        assert len(set(values)) == 1
        kept.add(content)
    assert len(kept) > 1


# Storage -----------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which can be made read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not shutil.which("mount") or _mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", folder):
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _mount(*words: str | Path) -> int:
    return subprocess.run(["mount", *map(str, words)], capture_output=True, check=False).returncode


def test_a_card_that_turns_read_only_is_named_and_the_run_goes_on(disk: Path) -> None:
    log, newest = disk / "r.jsonl", disk / "newest.png"
    with Camera() as camera:
        words = edge("--camera", camera.url, "--model", INT8, "--detector", "none")
        with started([*words, "--snapshot", str(newest), "--jsonl", "-"]) as run:
            assert run.stdout is not None and run.stderr is not None
            wait_until(newest.exists)
            assert not _mount("-o", "remount,ro", disk)
            said = iter(run.stderr.readline, "")
            assert any("output snapshot is failing" in line for line in said)
            assert json.loads(run.stdout.readline())  # the others go on
            assert not _mount("-o", "remount,rw", disk)
            assert any("output snapshot works again" in line for line in said)
            run.send_signal(signal.SIGTERM)
            run.communicate()
            assert run.returncode == 0
        assert not _mount("-o", "remount,ro", disk)
        done = subprocess.run([*words, "--jsonl", str(log)], capture_output=True, text=True)  # noqa: PLW1510
    assert done.returncode == 8
    assert "Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_board_without_a_place_for_temporary_files_runs(tmp_path: Path, video: Path) -> None:
    """/tmp is covered by an empty read-only folder, as after a bad fstab."""
    if not shutil.which("unshare"):
        pytest.skip("no unshare command")
    if any(Path(place).is_relative_to("/tmp") for place in (sys.executable, emo_edge.__file__)):
        pytest.skip("the package itself lies below /tmp")
    seen = Path("/mnt")
    words = edge("--source", seen / "v.mp4", "--model", seen / "m.tflite", "--jsonl", "-")
    words[0] = "emo-edge"
    shutil.copy(video, tmp_path / "v.mp4")
    shutil.copy(INT8, tmp_path / "m.tflite")
    code = "from emo_edge.cli import main; main()"
    script = " && ".join([
        f"mount --bind {tmp_path} {seen}",
        *(f"mount -t tmpfs -o ro none {place}" for place in ("/var/tmp", "/tmp")),
        "cd /proc",
        f"exec {sys.executable} -c '{code}' {' '.join(words[1:])}",
    ])  # fmt: skip
    cache = {"XDG_CACHE_HOME": str(seen / "cache"), "TMPDIR": "/nowhere"}
    with started(["unshare", "--mount", "sh", "-c", script], **cache) as run:
        out, err = run.communicate()
    if "unshare failed" in err or "permission denied" in err:
        pytest.skip("no mount namespace can be had here")
    assert run.returncode == 0, err
    assert len(out.splitlines()) > 20


# Clock -------------------------------------------------------------------------------------------


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
def test_a_clock_that_jumps_by_hours_changes_the_time_of_day_alone(tmp_path: Path) -> None:
    offset, log = tmp_path / "offset", tmp_path / "r.jsonl"

    def jump(to: str) -> None:
        (tmp_path / "next").write_text(to)
        (tmp_path / "next").replace(offset)

    jump("+0")
    fake = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with Camera() as camera:
        words = edge("--camera", camera.url, "--model", INT8, "--detector", "none", "--jsonl", log)
        with started(words, **fake) as run:
            for to in ("+0", "+5h", "-30h", "+0"):
                jump(to)
                before = rows_in(log)
                wait_until(lambda: rows_in(log) > before + 5)  # noqa: B023
            run.send_signal(signal.SIGTERM)
            _, said = run.communicate()
    assert run.returncode == 0, said
    assert "lost" not in said and "failing" not in said
    records = [json.loads(line) for line in log.read_text().splitlines()]
    times = [record["time"] for record in records]
    assert times == sorted(times)
    assert all(0 <= record["age"] < 60 for record in records)
    days = [datetime.fromisoformat(record["utc"]) for record in records]
    hours = [(b - a).total_seconds() / 3600 for a, b in itertools.pairwise(days)]
    assert max(hours) > 29 and min(hours) < -34
