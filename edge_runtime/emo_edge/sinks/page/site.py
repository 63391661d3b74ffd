"""What all conversations share."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emo_edge.sinks.page.access import Access
from emo_edge.sinks.page.broadcast import Broadcast
from emo_edge.sinks.page.pictures import Pictures
from emo_edge.sinks.page.places import Places
from emo_edge.sinks.page.upload import Reader

MAX_VIEWERS = 16  # a page that is looked at takes two places: its pictures and its readings


@dataclass(frozen=True)
class Site:
    """The parts behind the pages.

    Attributes:
        access: Who may see them.
        about: Model, labels, version: what does not change during a run.
        plain: Pictures as the source gave them.
        annotated: The same with the readings drawn on.
        broadcast: The readings and the health.
        reader: Reads uploads.
        viewers: Places for those who watch.
        closing: Set when every conversation shall end.
    """

    access: Access
    about: Mapping[str, Any]
    plain: Pictures
    annotated: Pictures
    broadcast: Broadcast
    reader: Reader
    closing: threading.Event
    viewers: Places = field(default_factory=lambda: Places(MAX_VIEWERS))
