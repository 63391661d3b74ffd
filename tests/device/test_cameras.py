"""emo-edge at real V4L2 drivers: the kernel's virtual camera, and a USB webcam with its faults.

The machine is emulated and slow: the detector runs in one short run alone; where faults are the
matter it is left out (`--detector none`) and two frames a second are read. Time is the guest's.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any

import pytest

from device.machine import Machine

RECOVERED_SECONDS = 5.0
WATCHDOG_SECONDS = 6.0  # as the guest's scripts have it
CYCLES = 100
HOST_SECONDS = 7200  # only ends a machine that hangs: a busy host is slow
MOST_GROWTH = 1500  # kilobytes from the first cycles to the last
FAULTS = (
    "unplugged", "another number", "silent", "errors", "noise", "cut", "junk", "small", "still",
    "another format", "its own format",
)  # fmt: skip

Event = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """All that the guest told."""

    events: list[Event]

    def of(self, event: str, **facts: object) -> list[Event]:
        """Return the events of a kind."""
        wanted = {"event": event, **facts}
        return [told for told in self.events if wanted.items() <= told.items()]

    def rows(self, run: str) -> list[Event]:
        """Return the JSON lines of a run, each of which must be whole."""
        (log,) = self.of("log", run=run)
        assert log["text"].endswith("\n")
        return [json.loads(line) for line in log["text"].splitlines()]

    def said(self, run: str, *words: str) -> list[str]:
        """Return what a run said that has all of these words."""
        lines = [told["line"] for told in self.of("said", run=run)]
        return [line for line in lines if all(word in line for word in words)]

    def seconds_to_recover(self, run: str, fault: str) -> list[float]:
        """Return, for each such fault, the seconds from its end to the first reading after it."""
        ready = [(row["time"], row["time"] + row["age"]) for row in self.rows(run)]
        return [
            min((at - over["at"] for taken, at in ready if taken > over["at"]), default=1e9)
            for over in self.of("over", name=fault)
        ]


@pytest.fixture(scope="module")
def seen(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("cameras")
    return Seen(machine.start("cameras", folder, CYCLES=CYCLES).wait(HOST_SECONDS))


def test_the_kernels_virtual_camera_gives_readings_and_is_found_again(seen: Seen) -> None:
    assert seen.said("vivid", "camera 0: vivid (/dev/video0), 640x480")
    assert seen.said("vivid", "camera 0: lost")
    (seconds,) = seen.seconds_to_recover("vivid", "vivid unbound")
    assert seconds < RECOVERED_SECONDS


def test_a_webcam_is_listed_with_its_format_and_its_second_node(seen: Seen) -> None:
    (listed,) = seen.of("listed")
    assert (
        "(uvcvideo, usb-vhci_hcd.0-1, /dev/video0)\n               MJPG 640x480" in listed["text"]
    )
    assert "/dev/video1" in listed["text"]
    assert "gives no pictures" in listed["text"]


def test_the_whole_loop_reads_the_face_in_front_of_a_webcam(seen: Seen) -> None:
    assert seen.said("whole loop", "(/dev/video0), 640x480 MJPG at")
    rows = seen.rows("whole loop")
    assert len(rows) > 3
    for row in rows:  # the drawn face fills the middle
        left, top, width, height = row["box"]
        assert 0 <= left < 320 < left + width <= 640
        assert 0 <= top < 240 < top + height <= 480


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_readings_come_again(seen: Seen, fault: str) -> None:
    (seconds,) = seen.seconds_to_recover("faults", fault)
    assert seconds < RECOVERED_SECONDS


def test_after_every_plug_of_a_hundred_readings_come_again(seen: Seen) -> None:
    seconds = seen.seconds_to_recover("faults", "cycle")
    assert len(seconds) == CYCLES
    assert max(seconds) < RECOVERED_SECONDS


def test_broken_pictures_are_never_read(seen: Seen) -> None:
    rows = seen.rows("faults")
    for fault in ("noise", "cut", "junk", "small"):
        (begun,), (over,) = seen.of("fault", name=fault), seen.of("over", name=fault)
        # One picture may be on its way when the fault begins.
        between = [row for row in rows if begun["at"] + 0.2 < row["time"] < over["at"]]
        assert not between, fault
    assert seen.said("faults", "broken frame")


def test_another_number_and_another_format_are_taken_as_they_are(seen: Seen) -> None:
    assert seen.said("faults", "back after", "(/dev/video1), 640x480 MJPG")
    assert seen.said("faults", "back after", "640x480 YUYV")


def test_nothing_leaks(seen: Seen) -> None:
    early, *later = seen.of("holds", run="faults")[1:]
    assert len(later) >= CYCLES // 20 - 1
    for held in later:
        assert len(held["devices"]) <= 1
        assert held["descriptors"] <= early["descriptors"]
        assert held["threads"] <= early["threads"]
        assert held["kilobytes"] - early["kilobytes"] < MOST_GROWTH


@pytest.mark.parametrize("run", ["vivid", "whole loop", "faults"])
def test_no_row_is_lost_or_out_of_order(seen: Seen, run: str) -> None:
    rows = seen.rows(run)
    for before, after in itertools.pairwise(rows):
        assert before["frame"] < after["frame"]
        assert before["time"] < after["time"]
    assert seen.said(run, f"frame(s), {len(rows)} reading(s)")
    assert [ended["code"] for ended in seen.of("ended", run=run)] == [0]


@pytest.mark.parametrize("run", ["vivid", "whole loop", "faults"])
def test_systemds_watchdog_is_fed_all_the_while(seen: Seen, run: str) -> None:
    told = seen.of("notified", run=run)
    assert told[0]["text"].startswith("READY=1\n")
    assert told[-1]["text"] == "STOPPING=1"
    fed = [event["at"] for event in told if "WATCHDOG=1" in event["text"]]
    fed.append(seen.of("stopping", run=run)[0]["at"])
    pauses = [after - before for before, after in itertools.pairwise(fed)]
    assert max(pauses) < WATCHDOG_SECONDS


def test_every_fault_is_said_once_in_words(seen: Seen) -> None:
    told = [line for line in seen.said("faults") if line.startswith("warning: ")]
    assert not [line for line in told if "Traceback" in line]
    lost, back = seen.said("faults", "lost ("), seen.said("faults", "back after")
    assert len(lost) == len(back)
