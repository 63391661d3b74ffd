"""A real mosquitto on loopback, and somebody who listens to it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
SECONDS = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Broker:
    """A mosquitto with a port of its own; starts in the context, and again after `stop`.

    Args:
        folder: For its configuration; retained messages do not outlive the process.
        settings: Lines of its configuration; by default everyone may enter.
    """

    def __init__(self, folder: Path, *settings: str) -> None:
        settings = settings or ("allow_anonymous true",)
        if MOSQUITTO is None:
            pytest.skip("no mosquitto: apt-get install mosquitto")
        self.port = free_port()
        self._file = folder / "mosquitto.conf"
        # Otherwise mosquitto becomes a user who may not read a test's files.
        own = ("user root",) if os.geteuid() == 0 else ()
        lines = (*own, "persistence false", f"listener {self.port} 127.0.0.1", *settings)
        self._file.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}/home/hall"

    @property
    def url(self) -> str:
        return f"mqtt://{self.place}"

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        assert MOSQUITTO is not None
        command = [MOSQUITTO, "-c", str(self._file)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(self._answers, "mosquitto does not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


class Listener:
    """Hears everything that a broker is told, the retained messages first."""

    def __init__(self, broker: Broker) -> None:
        self.heard: list[tuple[str, str, bool]] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_message = lambda _client, _data, message: self.heard.append(
            (message.topic, message.payload.decode(), message.retain)
        )
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def texts(self, topic: str) -> list[str]:
        return [text for heard, text, _ in self.heard if heard == topic]

    def states(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts("home/hall/state")]

    def wait_for(self, topic: str, *texts: str) -> None:
        """Wait until a topic was told just these texts, in this order."""
        wait_until(
            lambda: self.texts(topic) == list(texts), f"{topic} was told {self.texts(topic)}"
        )


def retained(broker: Broker, wanted: Iterable[str]) -> dict[str, str]:
    """Return {topic: text} of what a newcomer is told, once all the wanted topics are there."""
    kept: dict[str, str] = {}
    deadline = time.monotonic() + SECONDS
    while not set(wanted) <= kept.keys():
        assert time.monotonic() < deadline, f"retained are {list(kept)}"
        with Listener(broker) as newcomer:
            time.sleep(0.2)
            kept = {topic: text for topic, text, first in newcomer.heard if first}
    return kept
