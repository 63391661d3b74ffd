"""The page of a measured loop, and somebody who looks at it, in a process of their own.

    python -m emo_bench.audience http://127.0.0.1:PORT/

watches the pictures and the readings, asks for health and metrics once a second and has a picture
read every tenth time, until the page ends.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count

from emo_edge.health import Health
from emo_edge.pipeline import Pipeline
from emo_edge.processes import module_command
from emo_edge.sinks import Sink
from emo_edge.spec import ModelSpec

ASK_SECONDS = 1.0
ASKS_PER_UPLOAD = 10


@contextmanager
def watched_page(
    health: Health, spec: ModelSpec, model: str, make_pipeline: Callable[[], Pipeline]
) -> Iterator[Sink]:
    """Yield `emo-edge --serve` on a free port of this machine, while somebody looks at it."""
    from emo_edge.sinks.isolation import Isolated
    from emo_edge.sinks.page.page import Page
    from emo_edge.sinks.page.serving import serving

    place = serving("0", None, without=False, model=model)
    assert place is not None  # an address was given
    page = Page(place, health, spec, make_pipeline)
    with closing(Isolated("page", page, health)) as sink:
        # A session of its own: Ctrl-C is for the run, which then ends the viewer.
        viewer = subprocess.Popen(
            module_command("emo_bench.audience", page.url), start_new_session=True
        )
        try:
            yield sink
        finally:
            viewer.terminate()
            viewer.wait()


def watch(url: str) -> None:
    """Look at the page until it ends."""
    for path in ("stream.mjpg", "api/readings"):
        threading.Thread(target=_drain, args=(url + path,), daemon=True).start()
    pause = threading.Event()
    for number in count():
        _get(url + "healthz")
        _get(url + "metrics")
        if number % ASKS_PER_UPLOAD == 0:
            _upload(url)
        pause.wait(ASK_SECONDS)


def _drain(url: str) -> None:
    with urllib.request.urlopen(url) as stream:
        while stream.read1(1 << 16):
            pass


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        content: bytes = answer.read()
    return content


def _upload(url: str) -> None:
    picture = _get(url + "picture.jpg")
    words = {"Content-Type": "image/jpeg"}
    with urllib.request.urlopen(
        urllib.request.Request(url + "api/classify", picture, words)
    ) as answer:
        answer.read()


if __name__ == "__main__":
    with suppress(OSError):  # the page has ended
        watch(sys.argv[1])
