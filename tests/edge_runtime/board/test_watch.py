"""The board's part in a run, with a board played from a folder."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.playing import firmware, raspberry_pi
from emo_edge.board.sensors import read_board
from emo_edge.board.watch import BoardWatch
from emo_edge.health import Health
from emo_edge.pace import Pace


def until(reached: Callable[[], bool], beat: Callable[[], None]) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)
        beat()


def test_a_board_that_heats_up_is_slowed_down_and_let_go_when_it_is_cool(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    health, pace = Health(), Pace()
    with BoardWatch(health, pace, root=raspberry_pi(tmp_path), period=0.02) as watch:
        watch.beat()
        assert health.board is not None
        assert (health.board["celsius"], health.board["level"]) == (48.3, 0)
        assert pace == Pace()
        raspberry_pi(tmp_path, celsius=77.4)
        until(lambda: pace.max_fps is not None, watch.beat)
        assert pace == Pace(6.0, 4.0)
        assert health.board["level"] == 2
        raspberry_pi(tmp_path, celsius=60)
        until(lambda: pace.max_fps is None, watch.beat)
        assert pace == Pace()
    assert capfd.readouterr().err.splitlines() == [
        "the board is at 77 C (it throttles at 80 C): slowed down to 6 frames a second",
        "the board is at 60 C: full speed again",
    ]


def test_what_the_user_asked_for_is_never_exceeded(tmp_path: Path) -> None:
    health, pace = Health(), Pace(max_fps=5.0, search_stretch=3.0)
    with BoardWatch(health, pace, root=raspberry_pi(tmp_path, celsius=75)) as watch:
        watch.beat()
    assert pace == Pace(5.0, 3.0)


def test_a_limit_of_the_users_own(tmp_path: Path) -> None:
    pace = Pace()
    with BoardWatch(Health(), pace, root=raspberry_pi(tmp_path, celsius=79), limit=95.0) as watch:
        watch.beat()
    assert pace == Pace()


def test_under_voltage_is_reported_once_and_shown_while_it_lasts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    health = Health()
    raspberry_pi(tmp_path, word=0x50005)
    with BoardWatch(health, Pace(), root=tmp_path, period=0.02) as watch:
        watch.beat()
        assert health.board is not None
        assert health.board["throttled"] == ["under-voltage", "throttled"]
        assert health.board["level"] == 1
        for word in (0x50000, 0x50005, 0x50000):
            raspberry_pi(tmp_path, word=word)
            now = ["under-voltage", "throttled"] if word & 1 else []
            until(lambda now=now: health.board["throttled"] == now, watch.beat)  # type: ignore
        assert health.board["throttled_since_boot"] == ["under-voltage", "throttled"]
    assert capfd.readouterr().err.count("under-voltage") == 1


def test_a_flag_that_flickers_slows_down_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emo_edge.board.watch.CALM_SAMPLES", 3)
    pace = Pace()
    watch = BoardWatch(Health(), pace, root=raspberry_pi(tmp_path, celsius=60))
    for word in (0, 4, 0, 4, 0, 0, 4, 0, 0, 0):
        raspberry_pi(tmp_path, celsius=60, word=word)
        watch._newest = read_board(tmp_path)  # as its thread does
        watch.beat()
    assert pace == Pace()
    assert capfd.readouterr().err.splitlines() == [
        "the board throttles at 60 C: slowed down to 12 frames a second",
        "the board is at 60 C: full speed again",
    ]


def test_a_board_that_tells_nothing_is_no_error_and_is_json(tmp_path: Path) -> None:
    health = Health()
    with BoardWatch(health, Pace(), root=tmp_path) as watch:
        watch.beat()
    assert health.board is not None
    assert json.loads(json.dumps(health.board))["celsius"] is None
    assert health.board["throttled"] is None


def test_a_firmware_that_hangs_does_not_hold_the_loop_up(tmp_path: Path) -> None:
    raspberry_pi(tmp_path)
    health = Health()
    with BoardWatch(health, Pace(), root=tmp_path, period=0.01) as watch:
        firmware(tmp_path, f"touch {tmp_path}/asked; exec sleep 1")
        until((tmp_path / "asked").exists, watch.beat)
        before = health.board
        watch.beat()
        assert health.board is before  # nothing new yet, and no waiting for it
    assert "board" not in {thread.name for thread in threading.enumerate()}
