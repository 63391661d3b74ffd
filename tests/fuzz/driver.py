"""Lets inputs in, in a process that may die: whatever ends it is found, kept and left behind."""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from emo_edge.errors import EmoError
from fuzz.door import Door

HANG_SECONDS = 30.0  # for one input; see `_clock`
MEMORY_BYTES = 3 << 30  # of addresses: a bomb ends in a MemoryError
LAST_WORDS = 9000


@dataclass
class Report:
    """What became of a door's inputs.

    Attributes:
        taken, refused: How many were read, and how many were refused in words.
        contained: Numbers of those that ended a process which is there to be ended.
        findings: Number -> what happened, of all others.
    """

    door: str
    taken: int = 0
    refused: int = 0
    contained: list[int] = field(default_factory=list)
    findings: dict[int, str] = field(default_factory=dict)


def input_of(door: Door, seed: int, number: int) -> bytes:
    """Return an input by its number."""
    return door.draw(random.Random(f"{seed}/{door.name}/{number}"))


def fuzz(door: Door, seed: int, first: int, count: int) -> Report:
    """Let inputs `first` to `first + count - 1` in."""
    report, end = Report(door.name), first + count
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        while first < end:
            first = _live(door, seed, range(first, end), Path(folder), report)
    return report


def _live(door: Door, seed: int, numbers: range, folder: Path, report: Report) -> int:
    """Fork a worker; return the number after the last one that it got to."""
    state = State()
    state.number = numbers.start
    words = folder / "stderr"
    words.write_bytes(b"")
    pid = os.fork()
    if not pid:
        _work(door, seed, numbers, folder, state)
    why = _wait(pid, state)
    report.taken += state.taken
    report.refused += state.refused
    for line in _lines(folder / "findings"):
        report.findings[line[0]] = line[1]
    if not why:
        return numbers.stop
    if state.contained:
        report.contained.append(state.number)
    else:
        said = words.read_bytes()[-LAST_WORDS:].decode(errors="replace")
        report.findings[state.number] = f"{why}\n{said}"
    return state.number + 1


class State:
    """What a worker and its parent both see, whatever becomes of the worker."""

    SIZE = 8

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 4 * self.SIZE)

    def _get(self, place: int) -> int:
        return int(struct.unpack_from("<q", self._shared, place * self.SIZE)[0])

    def _set(self, place: int, value: int) -> None:
        struct.pack_into("<q", self._shared, place * self.SIZE, value)

    number = property(lambda self: self._get(0), lambda self, value: self._set(0, value))
    contained = property(lambda self: self._get(1), lambda self, value: self._set(1, value))
    taken = property(lambda self: self._get(2), lambda self, value: self._set(2, value))
    refused = property(lambda self: self._get(3), lambda self, value: self._set(3, value))


def _wait(pid: int, state: State) -> str:
    """Wait for a worker; return what ended it before its work was done, "" if nothing."""
    number, since = state.number, _clock(pid)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if state.number != number:
            number, since = state.number, _clock(pid)
        elif _clock(pid) - since > HANG_SECONDS:
            os.kill(pid, signal.SIGABRT)  # so that the fault handler says where
            os.waitpid(pid, 0)
            return f"no answer within {HANG_SECONDS:.0f} s"
        time.sleep(0.005)
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return f"exit code {os.WEXITSTATUS(status)}" if os.WEXITSTATUS(status) else ""


def _clock(pid: int) -> float:
    """Return seconds that stand still while a process is ready to go on but has no processor."""
    with suppress(OSError):  # a kernel that does not tell, or the process is gone
        waited = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
        return time.monotonic() - waited / 1e9
    return time.monotonic()


def _work(door: Door, seed: int, numbers: range, folder: Path, state: State) -> None:
    """Let every input in, in the forked process; never returns."""
    code = 1
    try:
        stderr = os.open(folder / "stderr", os.O_WRONLY | os.O_APPEND)
        os.dup2(stderr, 2)
        faulthandler.enable(os.fdopen(os.dup(stderr), "w"))  # where `hushed` does not reach
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _let_in(door, seed, numbers, folder, state)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _let_in(door: Door, seed: int, numbers: range, folder: Path, state: State) -> None:
    @contextmanager
    def contained() -> Iterator[None]:
        state.contained = 1
        try:
            yield
        finally:
            state.contained = 0

    place = Path(tempfile.mkdtemp(dir=folder))
    enter = door.open(place, contained)
    for number in numbers:
        state.number = number
        said = os.fstat(2).st_size
        try:
            enter(input_of(door, seed, number))
            state.taken += 1
        except EmoError:
            state.refused += 1
        except Exception:
            _note(folder, number, traceback.format_exc())
            continue
        # Threads print what they cannot raise.
        if os.fstat(2).st_size > said:
            words = (folder / "stderr").read_bytes()[said:].decode(errors="replace")
            if "Traceback" in words:
                _note(folder, number, words)


def _note(folder: Path, number: int, words: str) -> None:
    with (folder / "findings").open("a") as notes:
        notes.write(json.dumps([number, words[-LAST_WORDS:]]) + "\n")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    if path.exists():
        for line in path.read_text().splitlines():
            number, words = json.loads(line)
            yield number, words
