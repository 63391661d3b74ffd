"""Lines for people: never held back, and never the end of what goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from running import command_line

HEAD = "import os, sys, threading\nfrom emo_edge.messages import hushed, say, warn\n"


def child(code: str) -> str:
    """Return what a process that runs `code` leaves on its stderr."""
    words = [sys.executable, "-c", HEAD + code]
    return subprocess.run(words, capture_output=True, text=True, check=True).stderr


def test_a_stderr_without_room_does_not_change_the_exit_code() -> None:
    with Path("/dev/full").open("w") as full:
        words = command_line("emo-edge", "--source", "nosuch.mp4")
        assert subprocess.run(words, stderr=full, check=False).returncode == 5


def test_a_stderr_whose_reader_is_gone_ends_nothing() -> None:
    code = (
        "reader, writer = os.pipe()\nos.dup2(writer, 2)\nos.close(reader)\n"
        "say('nobody')\nwith hushed():\n  say('nobody')\nprint('went on')"
    )
    words = [sys.executable, "-c", HEAD + code]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "went on\n"


def test_a_warning_of_another_thread_is_not_held_back_with_native_chatter() -> None:
    said = child(
        "with hushed():\n"
        "  other = threading.Thread(target=warn, args=['lost'])\n"
        "  other.start(); other.join()\n"
        "  os.write(2, b'chatter\\n'); print('chatter', file=sys.stderr)\n"
        "  with hushed():\n"
        "    say('inner'); os.write(2, b'chatter\\n')\n"
        "  say('outer'); os.write(2, b'chatter\\n')\n"
        "say('after'); os.write(2, b'native\\n')"
    )
    assert said.splitlines() == ["warning: lost", "inner", "outer", "after", "native"]


def test_two_threads_that_hold_stderr_back_take_turns() -> None:
    said = child(
        "inside, leave = threading.Event(), threading.Event()\n"
        "def first():\n"
        "  with hushed():\n"
        "    inside.set(); leave.wait(); os.write(2, b'chatter\\n')\n"
        "def second():\n"
        "  say('waits')\n"
        "  with hushed(): os.write(2, b'chatter\\n')\n"
        "threads = [threading.Thread(target=run) for run in (first, second)]\n"
        "threads[0].start(); inside.wait(); threads[1].start(); leave.set()\n"
        "[thread.join() for thread in threads]\n"
        "os.write(2, b'native\\n')"
    )
    assert said.splitlines() == ["waits", "native"]


def test_a_bug_prints_what_was_held_back() -> None:
    code = "with hushed():\n  os.write(2, b'why\\n'); raise ValueError"
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code], capture_output=True, text=True, check=False
    )
    assert done.stderr.startswith("why\nTraceback")
