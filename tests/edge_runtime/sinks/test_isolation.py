"""A failing sink: said once, counted, tried again, and of no harm to the others."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from contextlib import closing

import pytest

from edge_runtime.framing import PICTURE, a_frame, a_reading
from emo_edge.errors import OutputError
from emo_edge.health import Health
from emo_edge.pipeline import Reading
from emo_edge.sinks.background import Background
from emo_edge.sinks.isolation import Isolated, losses
from emo_edge.sinks.stdout import ReaderGoneError
from emo_edge.sources import Frame


class Memory:
    """A sink that keeps what it is given, or raises `error`; waits for `gate` if there is one."""

    def __init__(self, error: Exception | None = None, gate: threading.Event | None = None) -> None:
        self.error, self.gate = error, gate
        self.calls, self.closed, self.idle = 0, False, False
        self.kept: list[int] = []

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> bool:  # noqa: ARG002
        if self.gate is not None:
            self.gate.wait(10)
        self.calls += 1
        if self.error is not None:
            raise self.error
        self.kept.append(frame.index)
        return not self.idle

    def close(self) -> None:
        self.closed = True


NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("emo_edge.sinks.isolation.time.monotonic", lambda: now[0])
    return now


def test_an_outage_is_said_once_and_its_end_with_what_was_lost(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    health, sink = Health(), Memory(NO_SPACE)
    isolated = Isolated("csv", sink, health)
    for index in range(100):
        clock[0] += 0.1
        isolated(a_frame(index), [a_reading()])
    assert health.snapshot()["sinks"]["csv"] == {
        "state": "failing",
        "written": 0,
        "dropped": 100,
        "error": "No space left on device",
    }
    assert sink.calls == 4  # at 0, 1, 3 and 7 seconds
    sink.error = None
    clock[0] += 10
    sink.idle = True
    isolated(a_frame(99), [])  # nothing to write: nobody knows
    assert health.sinks["csv"].state == "failing"
    sink.idle = False
    isolated(a_frame(100), [])
    assert sink.kept == [99, 100]
    assert health.sinks["csv"].state == "ok"
    assert capsys.readouterr().err.splitlines() == [
        "warning: output csv is failing: No space left on device; the rest goes on",
        "output csv works again; 100 were lost",
    ]


def test_a_sink_that_fails_for_hours_is_tried_once_a_minute(clock: list[float]) -> None:
    sink = Memory(OutputError("gone"))
    isolated = Isolated("record", sink, Health())
    for _ in range(3600):
        clock[0] += 1
        isolated(a_frame(), [])
    assert 60 <= sink.calls <= 70


def test_a_bug_is_no_failing_output_and_a_closed_stdout_ends_the_run() -> None:
    for error in (ZeroDivisionError(), ReaderGoneError(errno.EPIPE, "Broken pipe")):
        with pytest.raises(type(error)):
            Isolated("csv", Memory(error), Health())(a_frame(), [])


def test_the_exit_code_knows_what_was_lost() -> None:
    health = Health()
    good, bad = (Isolated(name, Memory(), health) for name in ("jsonl", "csv"))
    good(a_frame(), [])
    bad.drop()
    assert losses(health, whole=True) == "output csv: 1 lost"
    assert losses(health, whole=False) == ""
    Isolated("record", Memory(OutputError("full")), health)(a_frame(), [])
    assert losses(health, whole=False) == "output record: 1 lost (full)"


def test_a_sink_that_cannot_be_closed_is_failing() -> None:
    health, sink = Health(), Memory()
    sink.close = lambda: (_ for _ in ()).throw(OutputError("2 of 3 frames"))  # type: ignore[method-assign]
    Isolated("record", sink, health).close()
    assert losses(health, whole=False) == "output record: 0 lost (2 of 3 frames)"


def test_a_slow_sink_does_not_hold_up_the_loop_and_the_oldest_frame_goes() -> None:
    health, gate = Health(), threading.Event()
    sink = Memory(gate=gate)
    background = Background(Isolated("record", sink, health), 4)
    for index in range(20):
        background(a_frame(index), [])
    gate.set()
    background.close()
    assert sink.closed
    assert sink.kept[-4:] == [16, 17, 18, 19]
    assert len(sink.kept) + health.sinks["record"].dropped == 20


def test_a_sink_of_the_newest_frame_loses_nothing_by_leaving_out_others() -> None:
    health, gate = Health(), threading.Event()
    sink = Memory(gate=gate)
    with closing(Background(Isolated("snapshot", sink, health), 1)) as background:
        for index in range(20):
            background(a_frame(index), [])
        gate.set()
    assert sink.kept[-1] == 19
    assert health.sinks["snapshot"].dropped == 0


def test_frames_can_wait_without_their_pictures() -> None:
    sizes = []

    class Sizes(Memory):
        def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:  # noqa: ARG002
            sizes.append(frame.image.size)

    for pictures in (True, False):
        isolated = Isolated("csv", Sizes(), Health())
        with closing(Background(isolated, 4, pictures=pictures)) as background:
            background(a_frame(), [])
    assert sizes == [PICTURE.size, 0]


def test_a_bug_in_the_thread_reaches_the_loop() -> None:
    background = Background(Isolated("record", Memory(ZeroDivisionError()), Health()), 4)
    background(a_frame(), [])
    with pytest.raises(ZeroDivisionError):
        background.close()
    with pytest.raises(ZeroDivisionError):
        background(a_frame(), [])
