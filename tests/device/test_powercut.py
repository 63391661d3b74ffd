"""Power cuts while emo-edge writes: what is on the disk is whole, and the next run goes on.

The guest writes onto an ext4 disk until QEMU is killed. From the log of what reached that disk
come many more power cuts, each with another part of what had not been flushed.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest

from device.machine import Boot, Machine
from device.powercut import cuts, read_log
from emo_edge.cli import app
from emo_edge.detectors.fetch import YUNET_NAME
from running import assert_done, call, draw_faces

MEGABYTES = 32
MARK_AT = MEGABYTES << 20  # as guest/power.py has it
CUTS = 40
TAKEN_UP = (CUTS // 2, CUTS - 4)  # the cuts after which the guest goes on
HOST_SECONDS = 7200  # only ends a machine that hangs: a busy host is slow
# Logs are made durable once a second; the emulated disk and processor take their time.
LOST_SECONDS = 3.0


@dataclass(frozen=True)
class Remains:
    """A disk after a power cut.

    Attributes:
        at: The guest's seconds.
        disk: Image file, its journal replayed; kept of `TAKEN_UP` alone.
        files: Its content, unpacked.
    """

    at: float
    disk: Path
    files: Path


@dataclass(frozen=True)
class Blackout:
    """The guest whose power was cut: what it told until then, and what disks may hold."""

    told: list[dict[str, Any]]
    remains: list[Remains]

    @property
    def rows(self) -> list[str]:
        """The JSON lines as the guest last saw them."""
        return str([t for t in self.told if t["event"] == "rows"][-1]["text"]).splitlines(True)

    def since(self, name: str) -> float:
        """When the command that wrote a file had ended."""
        return float(next(t["at"] for t in self.told if t.get("name") == name))


@pytest.fixture(scope="module")
def blackout(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Blackout:
    folder = tmp_path_factory.mktemp("power")
    disk, log = folder / "disk.img", folder / "writes.log"
    with disk.open("wb") as file:
        file.truncate(MARK_AT + (1 << 20))
    _run("mke2fs", "-q", "-t", "ext4", "-b", 4096, "-F", disk, f"{MEGABYTES}M")
    empty = disk.read_bytes()
    log.touch()
    boot = machine.start("power", folder, drives=[_logged(disk, log)], real_time=True)
    try:
        _wait_for_third_run(boot)
    finally:
        boot.cut()
    told = boot.told()
    assert not [t for t in told if t["event"] == "failed"], told[-1]
    remains = []
    for number, cut in enumerate(cuts(empty, read_log(log), CUTS, MARK_AT, seed=8)):
        image, files = folder / f"cut-{number}.img", folder / f"cut-{number}"
        image.write_bytes(cut.disk)
        _run("e2fsck", "-fy", image, most=1)  # 1: mended, as at every boot after a cut
        files.mkdir()
        _run("debugfs", "-R", f"rdump / {files}", image)
        if number not in TAKEN_UP:
            image.unlink()
        remains.append(Remains(cut.at, image, files))
    return Blackout(told, remains)


def _logged(disk: Path, log: Path) -> str:
    data = f"file.driver=file,file.filename={disk},file.cache.no-flush=on"
    return f"driver=blklogwrites,node-name=disk0,{data},log.driver=file,log.filename={log}"


def _wait_for_third_run(boot: Boot) -> None:
    """Return when the third run has written for some seconds; each tells its rows every second."""
    until = time.monotonic() + HOST_SECONDS
    while len([told for told in boot.told() if told["event"] == "rows"]) < 16:
        assert boot.process.poll() is None, boot.told()[-1:]
        assert time.monotonic() < until, "the guest is too slow"
        time.sleep(1)


def _run(*words: object, most: int = 0) -> None:
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
    assert done.returncode <= most, done.stderr + done.stdout


def test_a_configuration_is_whole_or_absent(blackout: Blackout, tmp_path: Path) -> None:
    assert_done(call(app, "init", tmp_path / "edge.toml"))
    whole, since = (tmp_path / "edge.toml").read_bytes(), blackout.since("etc/edge.toml")
    _whole_or_absent(blackout, "etc/edge.toml", whole, since)


def test_a_fetched_detector_is_whole_or_absent(blackout: Blackout) -> None:
    if not any(told.get("name") == "cache" for told in blackout.told):
        pytest.skip("no YuNet file: set EMO_YUNET to it")
    whole = Path(os.environ["EMO_YUNET"]).read_bytes()
    _whole_or_absent(blackout, f"cache/emo-toolkit/{YUNET_NAME}", whole, blackout.since("cache"))


def _whole_or_absent(blackout: Blackout, name: str, whole: bytes, since: float) -> None:
    found = 0
    for remains in blackout.remains:
        file = remains.files / name
        if file.exists():
            assert file.read_bytes() == whole
            found += 1
        else:
            assert remains.at < since  # once a command has ended, nothing takes it away
    assert found


def test_a_recording_under_its_name_is_whole(blackout: Blackout) -> None:
    films = set()
    for film in _everywhere(blackout, "film/seen*.mp4"):
        capture = cv2.VideoCapture(str(film))
        frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        assert frames > 10
        for _ in range(frames):
            assert capture.read()[0]
        capture.release()
        films.add(film.name)
    assert films == {"seen.mp4", "seen-0002.mp4"}


def _everywhere(blackout: Blackout, pattern: str) -> Iterator[Path]:
    for remains in blackout.remains:
        yield from remains.files.glob(pattern)


def test_logs_lose_a_second_and_are_mended_by_the_next_run(
    blackout: Blackout, tmp_path: Path
) -> None:
    (picture,) = draw_faces(tmp_path, 1)
    told = [json.loads(row) for row in blackout.rows]
    for remains in blackout.remains:
        log, table = (remains.files / "log" / name for name in ("seen.jsonl", "seen.csv"))
        outputs = ("--detector", "none", "--jsonl", log, "--csv", table)
        assert_done(call(app, "--source", picture, *outputs))
        *kept, new = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        assert new["source"] == str(picture)
        assert kept[: len(told)] == told[: len(kept)]
        durable = [row for row in told if row["time"] < remains.at - LOST_SECONDS]
        assert len(kept) >= len(durable)
        with table.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        assert {len(row) for row in rows} == {len(header)}
        times = [float(row[header.index("time")]) for row in rows[:-1]]
        assert times[: len(told)] == [row["time"] for row in told][: len(times)]
        assert len(times) >= len(durable)


def test_the_next_run_goes_on_where_the_disk_ends(
    blackout: Blackout, machine: Machine, tmp_path: Path
) -> None:
    disks = [blackout.remains[number].disk for number in TAKEN_UP]
    drives = [f"driver=file,node-name=disk{n},filename={disk}" for n, disk in enumerate(disks)]
    told = machine.start("after", tmp_path, drives=drives, real_time=True).wait(HOST_SECONDS)
    found, logs, ended = (
        [event for event in told if event["event"] == name] for name in ("found", "log", "ended")
    )
    assert [event["code"] for event in ended] == [0] * len(disks)
    for before, after in zip(found, logs, strict=True):
        kept = [json.loads(row) for row in before["text"].split("\n") if _is_whole(row)]
        rows = [json.loads(row) for row in after["text"].splitlines()]
        assert rows[: len(kept)] == kept
        assert len(rows) > len(kept)


def _is_whole(row: str) -> bool:
    return row.startswith("{") and row.endswith("}")
