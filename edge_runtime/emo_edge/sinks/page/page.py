"""The sink whose viewers use a browser."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from urllib.parse import quote

from emo_edge.health import Health
from emo_edge.pipeline import Reading
from emo_edge.sinks.page.access import Access
from emo_edge.sinks.page.broadcast import Broadcast
from emo_edge.sinks.page.conversation import Conversation
from emo_edge.sinks.page.history import KEPT_SECONDS
from emo_edge.sinks.page.latest import Latest
from emo_edge.sinks.page.pictures import Pictures, annotated, plain
from emo_edge.sinks.page.server import Server
from emo_edge.sinks.page.serving import Serving
from emo_edge.sinks.page.site import Site
from emo_edge.sinks.page.upload import MakePipeline, Reader
from emo_edge.sources.frame import Frame
from emo_edge.spec import ModelSpec
from emo_edge.version import __version__


class Page:
    """A sink whose viewers look at it with a browser.

    For the loop it only replaces a reference; everything else happens in threads of its own.

    Args:
        serving: Where, and to whom.
        health: Of the run.
        spec: Of the model.
        make_pipeline: Makes a pipeline for pictures that visitors send.

    Attributes:
        url: What to open in a browser, token included.

    Raises:
        OutputError: nobody can listen there.
    """

    def __init__(
        self, serving: Serving, health: Health, spec: ModelSpec, make_pipeline: MakePipeline
    ) -> None:
        address, token = serving.address, serving.token
        self._server = Server(address)
        self._latest = Latest()
        about = {
            "version": __version__, "model": serving.model, "labels": list(spec.labels),
            "threshold": spec.threshold, "kept_seconds": KEPT_SECONDS,
        }  # fmt: skip
        self._site = Site(
            access=Access(address, self._server.port, token),
            about=about,
            plain=Pictures(self._latest, plain, "page-pictures"),
            annotated=Pictures(self._latest, annotated, "page-snapshots"),
            broadcast=Broadcast(self._latest, health, about),
            reader=Reader(make_pipeline),
            closing=threading.Event(),
        )
        self._server.start(functools.partial(Conversation, self._site))
        self.url = address.url(self._server.port) + (f"?token={quote(token)}" if token else "")

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Put the frame where the viewers find it."""
        self._latest.put(frame, readings)

    def close(self) -> None:
        """End every conversation and every thread."""
        site = self._site
        site.closing.set()
        self._latest.close()
        for part in (site.broadcast, site.plain, site.annotated):
            part.close()
        self._server.stop()
