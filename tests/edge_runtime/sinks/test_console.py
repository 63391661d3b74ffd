"""The console: a timeline, and a live line on a real terminal."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import select
import struct
import termios
from pathlib import Path
from typing import Literal

import pytest

from edge_runtime.framing import a_frame, a_reading
from emo_edge.pipeline import Reading
from emo_edge.sinks.console import Console, fitted

Moment = tuple[float, list[Reading]]


def timeline(*moments: Moment, kind: Literal["live", "video"] = "video") -> list[str]:
    stream = io.StringIO()
    console = Console(kind, stream)
    for at, readings in moments:
        console(a_frame(at=at), readings)
    console.close()
    return [" ".join(line.split()) for line in stream.getvalue().splitlines()]


def test_the_console_speaks_when_a_label_changes_and_is_silent_otherwise() -> None:
    lines = timeline(
        (5.0, [a_reading("happy", at=5.0)]),
        (5.1, [a_reading("happy", at=5.1)]),
        (5.5, [a_reading("sad", at=5.5)]),
        (5.6, [a_reading("sad", at=5.6), a_reading("happy", track=2, at=5.6)]),
    )
    assert lines == [
        "5.00 s face 1 happy 81% (12 ms old)",
        "5.50 s face 1 sad 81% (12 ms old)",
        "5.60 s face 2 happy 81% (12 ms old)",
    ]


def test_a_camera_is_timed_from_its_first_frame() -> None:
    lines = timeline((100.0, []), (103.0, [a_reading("happy", at=103.0)]), kind="live")
    assert [line.split()[:2] for line in lines] == [["3.00", "s"]]


def test_a_face_is_gone_once_and_not_for_a_missed_frame() -> None:
    lines = timeline(
        (0.0, [a_reading()]), (0.5, []), (0.9, [a_reading(at=0.9)]), (1.5, []), (2.0, []), (9.0, [])
    )
    assert lines == ["0.00 s face 1 happy 81% (12 ms old)", "2.00 s face 1 gone"]


def test_a_face_that_is_looked_for_every_other_second_is_not_gone_when_it_is_missed_once() -> None:
    moments = [(2.0 * i, [a_reading(at=2.0 * i)] if i != 3 else []) for i in range(6)]
    (line,) = timeline(*moments)
    assert line.startswith("0.00 s face 1 happy")


def test_every_picture_is_named_without_signs_that_steer_a_terminal() -> None:
    stream = io.StringIO()
    console = Console("stills", stream)
    console(a_frame(name="a\x1b[2Jb.png"), [a_reading()])
    console(a_frame(name="b.png"), [])
    assert stream.getvalue().splitlines() == [
        "a?[2Jb.png: happy 81%  (face 30x40 at 10,20)",
        "b.png: no face",
    ]


def test_a_label_that_the_encoding_lacks_is_escaped() -> None:
    raw = io.BytesIO()
    console = Console("stills", io.TextIOWrapper(raw, encoding="ascii"))
    console(a_frame(), [a_reading("笑顔")])
    assert b"\\u7b11\\u9854 81%" in raw.getvalue()


@pytest.mark.parametrize(
    ("text", "columns", "kept"),
    [
        ("happy", 9, "happy"),
        ("happy", 3, "hap"),
        ("笑顔です", 5, "笑顔"),
        ("e\u0301a", 1, "e\u0301"),
    ],
)
def test_a_line_is_cut_by_the_cells_it_takes(text: str, columns: int, kept: str) -> None:
    assert fitted(text, columns) == kept


def received(ours: int) -> str:
    """Return what a terminal was sent until now."""
    sent = b""
    while select.select([ours], [], [], 0)[0]:
        sent += os.read(ours, 65536)
    return sent.decode().replace("\r\n", "\n")


def on_a_terminal(columns: int, term: str, patch: pytest.MonkeyPatch, *moments: Moment) -> str:
    """Return what a terminal of so many columns is sent."""
    patch.setenv("TERM", term)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        console = Console("video", stream)
        for at, readings in moments:
            console(a_frame(at=at), readings)
        console.close()
        sent = received(ours)
    os.close(ours)
    return sent


def shown(sent: str, columns: int) -> list[str]:
    """Return the lines that a terminal shows after it was sent `sent`."""
    lines, column = [""], 0
    rest = sent
    while rest:
        if rest.startswith("\x1b[K"):
            lines[-1], rest = lines[-1][:column], rest[3:]
            continue
        sign, rest = rest[0], rest[1:]
        if sign == "\r":
            column = 0
        elif sign == "\n":
            lines.append("")
            column = 0
        else:
            lines[-1] = lines[-1][:column] + sign + lines[-1][column + 1 :]
            column += 1
            assert column < columns, "it wrapped"
    return lines


def test_a_terminal_has_a_live_line_below_the_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    moments: list[Moment] = [(0.1 * n, [a_reading(at=0.1 * n)]) for n in range(50)]
    moments += [(5.0, [a_reading("sad", at=5.0)])]
    sent = on_a_terminal(100, "xterm", monkeypatch, *moments)
    *_, first, second, last = shown(sent.removesuffix("\r\x1b[K"), 100)
    assert first.endswith("face 1  happy         81%  (12 ms old)")
    assert second.endswith("face 1  sad           81%  (12 ms old)")
    assert "face 1 sad 81%" in last
    assert shown(sent, 100)[-1] == ""  # nothing is left of it


def test_a_live_line_is_redrawn_at_most_ten_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("emo_edge.sinks.console.time.monotonic", lambda: clock[0])
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        console = Console("live", stream)
        for number in range(300):
            clock[0] = 100.0 + number / 100
            console(a_frame(at=clock[0]), [a_reading(at=clock[0])])
        sent = received(ours)
    os.close(ours)
    assert 20 <= sent.count("\x1b[K\r") <= 31
    assert "100.0 fps" in sent


def test_a_narrow_terminal_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = [a_reading("face", track) for track in range(1, 9)]
    sent = on_a_terminal(60, "xterm", monkeypatch, (0.0, crowd))
    assert shown(sent, 60)[-2].startswith("    0.00 s  face 8")


def test_a_dumb_terminal_has_plain_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "\x1b" not in on_a_terminal(80, "dumb", monkeypatch, (0.0, [a_reading()]))
