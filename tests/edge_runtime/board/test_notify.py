"""systemd's notification protocol, against a real socket as systemd binds it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.drawn import scene
from edge_runtime.streaming import Camera
from emo_edge.board.notify import Notifier, status_line
from emo_edge.health import Health
from running import command_line


@contextmanager
def systemd(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + address[1:] if address.startswith("@") else address)
        listening.setblocking(False)
        yield listening


def heard(listening: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(listening.recv(4096).decode())
        except BlockingIOError:
            return messages


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def notifier(address: str, clock: Clock, **environ: str) -> Notifier:
    return Notifier(lambda: "0 delivering", {"NOTIFY_SOCKET": address, **environ}, clock)


def path_of(folder: Path) -> str:
    return str(folder / "notify")


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return path_of(tmp_path) if request.param == "path" else f"@emo-edge-test-{os.getpid()}"


def test_ready_comes_with_the_first_beat_and_stopping_with_the_end(address: str) -> None:
    with systemd(address) as listening:
        with closing(notifier(address, Clock())) as told:
            assert heard(listening) == []  # opened is not ready
            told.beat()
            assert heard(listening) == ["READY=1\nSTATUS=0 delivering"]
            told.beat()
            assert heard(listening) == []
        assert heard(listening) == ["STOPPING=1"]
        told.close()
        assert heard(listening) == []


def test_a_status_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    address = path_of(tmp_path)
    with systemd(address) as listening:
        with closing(Notifier(lambda: "pictures/a\udcff", {"NOTIFY_SOCKET": address})) as told:
            told.beat()
        assert heard(listening)[0] == "READY=1\nSTATUS=pictures/a\\udcff"


def test_the_watchdog_is_fed_at_half_its_time_and_only_by_beats(tmp_path: Path) -> None:
    clock, address = Clock(), path_of(tmp_path)
    with systemd(address) as listening:
        told = notifier(address, clock, WATCHDOG_USEC="8000000", WATCHDOG_PID=str(os.getpid()))
        fed = []
        for tenth in range(0, 200):
            clock.now = 1000.0 + tenth / 10
            told.beat()
            fed += [tenth / 10 for message in heard(listening) if "WATCHDOG=1" in message]
        assert fed == [0.0, 4.0, 8.0, 12.0, 16.0]
        clock.now += 100  # a loop that hangs sends nothing
        assert heard(listening) == []
        told.close()


def test_the_status_is_told_every_ten_seconds(tmp_path: Path) -> None:
    clock, address = Clock(), path_of(tmp_path)
    with systemd(address) as listening, closing(notifier(address, clock)) as told:
        for second in range(25):
            clock.now = 1000.0 + second
            told.beat()
        assert sum("STATUS=" in message for message in heard(listening)) == 3


def test_a_watchdog_meant_for_another_process_is_none_of_ours(tmp_path: Path) -> None:
    with systemd(path_of(tmp_path)) as listening:
        told = notifier(path_of(tmp_path), Clock(), WATCHDOG_USEC="1000", WATCHDOG_PID="1")
        told.beat()
        assert "WATCHDOG" not in "".join(heard(listening))
        told.close()


def test_children_do_not_inherit_the_socket(tmp_path: Path) -> None:
    environ = {"NOTIFY_SOCKET": path_of(tmp_path), "WATCHDOG_USEC": "1000000", "HOME": "/"}
    with systemd(path_of(tmp_path)):
        Notifier(str, environ).close()
    assert environ == {"HOME": "/"}


def test_without_systemd_nothing_happens(capfd: pytest.CaptureFixture[str]) -> None:
    told = Notifier(lambda: "unasked", {})
    told.beat()
    told.close()
    assert capfd.readouterr() == ("", "")


def test_an_address_where_nobody_listens_is_said_once_and_the_run_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told = notifier(path_of(tmp_path), Clock())
    told.beat()
    told.close()
    assert capfd.readouterr().err.count("warning: nobody listens at NOTIFY_SOCKET") == 1


def test_a_systemd_that_goes_away_is_said_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clock, address = Clock(), path_of(tmp_path)
    with systemd(address):
        told = notifier(address, clock, WATCHDOG_USEC="2000000")
        told.beat()
    for _ in range(5):
        clock.now += 1
        told.beat()
    told.close()
    assert capfd.readouterr().err.count("warning: systemd cannot be told") == 1


def test_a_full_socket_is_tried_again_and_never_blocks(tmp_path: Path) -> None:
    clock, address = Clock(), path_of(tmp_path)
    with systemd(address) as listening:
        told = notifier(address, clock, WATCHDOG_USEC="2000000")
        for _ in range(1000):  # nobody reads: the queue fills
            clock.now += 1
            told.beat()
        waiting = heard(listening)
        assert 0 < len(waiting) < 1000
        told.beat()
        assert any("WATCHDOG=1" in message for message in heard(listening))
        told.close()


def board(**values: Any) -> dict[str, Any]:
    return {"celsius": None, "level": 0, **values}


def test_the_status_line_tells_source_speed_heat_and_failing_sinks() -> None:
    from emo_edge.health import SinkHealth

    health = Health()
    health.source.name = "0"
    assert status_line(health.snapshot()) == "0 opening, 0.0 frames/s, 0 face(s)"
    health.source.turn("lost", "unplugged")
    health.sinks = {"mqtt": SinkHealth("failing"), "jsonl": SinkHealth()}
    health.board = board(celsius=78.4, level=2)
    assert status_line(health.snapshot()) == (
        "0 lost, 0.0 frames/s, 0 face(s), 78 C, slowed down (level 2), failing: mqtt"
    )
    health.source.name = "two\nlines"  # a message is one line a field
    assert "\n" not in status_line(health.snapshot())


def test_a_run_on_a_camera_is_ready_feeds_the_watchdog_and_ends_on_sigterm(tmp_path: Path) -> None:
    with systemd(path_of(tmp_path)) as listening, Camera(scene("happy")[0]) as camera:
        listening.settimeout(30)
        command = command_line("emo-edge", "--source", camera.url, "--jsonl", tmp_path / "r.jsonl")
        told = {"NOTIFY_SOCKET": path_of(tmp_path), "WATCHDOG_USEC": "200000"}
        with subprocess.Popen(command, env={**os.environ, **told}) as service:
            assert "READY=1" in listening.recv(4096).decode()
            assert "WATCHDOG=1" in listening.recv(4096).decode()
            service.send_signal(signal.SIGTERM)
            assert any(listening.recv(4096) == b"STOPPING=1" for _ in range(100))
    assert service.returncode == 0
