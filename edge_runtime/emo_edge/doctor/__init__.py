"""`emo-edge doctor`: what is installed, what works, and the line that fixes what does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from emo_edge.doctor import board, cameras, model, software
from emo_edge.doctor.finding import Finding

__all__ = ["Finding", "examine"]


def examine(name: str, config: Path | None = None) -> Iterator[Finding]:
    """Yield the findings about this machine, as they are found.

    Args:
        name: A shipped net or model file.
        config: Configuration file; None for the one that a run without --config reads.
    """
    yield from software.examine(config)
    yield from model.examine(name)
    yield from cameras.examine()
    yield from board.examine()
