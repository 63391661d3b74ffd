"""One run of emo-edge as systemd runs it: its words, its signs of life, what it holds."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from telling import Told

WATCHDOG_SECONDS = 6
LOOK_SECONDS = 0.1
NOTIFY = Path("/tmp/notify")
COMMAND = (sys.executable, "-c", "from emo_edge.cli import main; main()")


def command(*words: str) -> list[str]:
    """Return a command of emo-edge."""
    return [*COMMAND, *words]


class Supervised:
    """A run whose every word and datagram is told.

    Args:
        told: Where to.
        name: Of the run, for the host.
        log: Its JSON lines.
        words: Its other options.
    """

    def __init__(self, told: Told, name: str, log: Path, *words: str) -> None:
        self._told, self._name, self.log = told, name, log
        self._tell("begins", words=words)
        NOTIFY.unlink(missing_ok=True)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(NOTIFY))
        self._process = subprocess.Popen(
            command(*words, "--jsonl", str(log)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "NOTIFY_SOCKET": str(NOTIFY),
                "WATCHDOG_USEC": str(WATCHDOG_SECONDS * 1_000_000),
            },
        )
        for work in (self._hear, self._listen):
            threading.Thread(target=work, daemon=True).start()

    def end(self) -> int:
        """Stop it as systemd does; returns its exit status and tells its log."""
        self._tell("stopping")
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        self._tell("ended", code=code)
        if self.log.exists():
            self._tell("log", text=self.log.read_text(encoding="utf-8"))
        return code

    def hold(self) -> None:
        """Tell what it holds: descriptors, threads, resident kilobytes."""
        place = Path(f"/proc/{self._process.pid}")
        status = dict(
            line.split(":\t", 1)
            for line in (place / "status").read_text().splitlines()
            if "\t" in line
        )
        held = []
        for path in (place / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed this moment
                held.append(str(path.readlink()))
        self._tell(
            "holds",
            descriptors=len(held),
            devices=[path for path in held if path.startswith("/dev/video")],
            threads=int(status["Threads"]),
            kilobytes=int(status["VmRSS"].split()[0]),
        )

    def reading_since(self, moment: float, seconds: float) -> bool:
        """Wait until there is a reading of a frame captured after `moment`; False if none comes."""
        return self._wait(lambda: self._newest() > moment, seconds)

    def written_beyond(self, size: int, seconds: float) -> bool:
        """Wait until the log has more bytes than that; False if that does not happen."""
        return self._wait(lambda: self.log.exists() and self.log.stat().st_size > size, seconds)

    def _newest(self) -> float:
        """Return the time of capture of the newest row, 0 if there is none."""
        if not self.log.exists():
            return 0.0
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 4096))
            rows = file.read().split(b"\n")
        try:
            return float(json.loads(rows[-2])["time"]) if len(rows) > 1 else 0.0
        except ValueError:  # a power cut tore it, and the run has not mended it yet
            return 0.0

    def _wait(self, happened: Callable[[], bool], seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not (done := happened()) and time.monotonic() < until:
            if self._process.poll() is not None:
                break
            time.sleep(LOOK_SECONDS)
        return done

    def _hear(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._tell("said", line=line.rstrip("\n"))

    def _listen(self) -> None:
        while True:
            self._tell("notified", text=self._notify.recv(4096).decode())

    def _tell(self, event: str, **facts: Any) -> float:
        return self._told(event, run=self._name, **facts)
