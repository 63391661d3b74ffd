"""A real page on loopback, without a loop behind it, and visitors who speak to it."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from edge_runtime.drawn import INT8, LABELS
from edge_runtime.streaming import numbered
from emo_edge.classifier import Classifier
from emo_edge.contract import Box, Image
from emo_edge.detectors import make_detector
from emo_edge.health import Health
from emo_edge.pipeline import Pipeline, Reading
from emo_edge.sinks.page.address import parse_address
from emo_edge.sinks.page.page import Page
from emo_edge.sinks.page.serving import Serving
from emo_edge.sources import Frame
from emo_edge.spec import ModelSpec

SPEC = ModelSpec(LABELS, 48, 48, threshold=0.4)
PATIENCE = 20.0  # seconds until a test gives up


class Got(NamedTuple):
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def reading(label: str = "happy", track: int = 1, confidence: float = 0.8) -> Reading:
    rest = (1 - confidence) / (len(LABELS) - 1)
    best = "neutral" if label == "uncertain" else label
    shares = {name: confidence if name == best else rest for name in LABELS}
    return Reading(track, Box(19.2, 6.4, 96.0, 32.0), label, confidence, shares, 0.0, 0.01)


def for_pictures() -> Pipeline:
    classifier = Classifier(INT8)
    return Pipeline(make_detector("haar"), classifier, classifier.spec, "stills")


class Visited:
    """A page; a context manager.

    Attributes:
        page: The page.
        health: Of a run that delivers.
        port: Where it listens.
    """

    def __init__(self, where: str = "127.0.0.1:0", token: str | None = None) -> None:
        self.health = Health()
        self.health.source.name, self.health.source.kind = "/dev/video0", "live"
        self.health.source.turn("delivering")
        serving = Serving(parse_address(where), token, "drawn-int8")
        self.page = Page(serving, self.health, SPEC, for_pictures)
        self.port = urlsplit(self.page.url).port or 0
        self.shown = 0

    def __enter__(self) -> Visited:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.page.close()

    def show(self, *readings: Reading, image: Image | None = None, ago: float = 0.0) -> int:
        """Give the page its next frame, captured `ago` seconds ago; returns its number.

        It shows its own number, unless there is an `image`.
        """
        self.shown += 1
        now = time.monotonic() - ago
        picture = numbered(self.shown) if image is None else image
        self.health.beat()
        self.page(Frame(picture, self.shown - 1, now, now, "/dev/video0"), list(readings))
        return self.shown

    def ask(
        self,
        path: str,
        method: str = "GET",
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Got:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Got(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        """Return a connection for what no client library would say."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def say(self, words: bytes) -> bytes:
        """Send raw bytes; return all that comes back until the page hangs up."""
        with self.connect() as connection:
            connection.sendall(words)
            return until_hung_up(connection)

    @contextmanager
    def events(self) -> Iterator[Iterator[tuple[str, Any]]]:
        """Listen: (event, data), one after the other."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", "/api/readings")
        answer = connection.getresponse()
        try:
            assert answer.headers["Content-Type"] == "text/event-stream"
            yield parsed(answer)
        finally:
            answer.close()


def until_hung_up(connection: socket.socket) -> bytes:
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass  # it hung up while we were still talking
    return b"".join(parts)


def parsed(stream: Any) -> Iterator[tuple[str, Any]]:
    """Parse server-sent events as the HTML standard does."""
    kind, data = "", ""
    for line in stream:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            data = value
        elif not name and data:
            yield kind, json.loads(data)
            kind, data = "", ""
