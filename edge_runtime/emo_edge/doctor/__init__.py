"""`emo-edge doctor`: what is installed, what works, and the line that fixes what does not."""

from __future__ import annotations

from collections.abc import Iterator

from emo_edge.doctor import board, cameras, model, software
from emo_edge.doctor.finding import Finding

__all__ = ["Finding", "examine"]


def examine(name: str) -> Iterator[Finding]:
    """Yield the findings about this machine and a shipped net or model file, as they are found."""
    yield from software.examine()
    yield from model.examine(name)
    yield from cameras.examine()
    yield from board.examine()
