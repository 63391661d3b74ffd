"""`emo-edge fetch-detector`."""

from __future__ import annotations

from typing import Annotated

import typer

from emo_edge.commands import guarded
from emo_edge.messages import say


@guarded
def fetch_detector(
    origin: Annotated[
        str | None,
        typer.Option("--from", help="File or URL, for a board without internet."),
    ] = None,
) -> None:
    """Fetch the YuNet face detector (233 kB, MIT licence, OpenCV model zoo), once."""
    from emo_edge.detectors.fetch import YUNET_URL, fetch_yunet

    path, fetched = fetch_yunet(YUNET_URL if origin is None else origin)
    say(f"{path}: {'fetched' if fetched else 'there already'}, checksum right")
