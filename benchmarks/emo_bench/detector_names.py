"""Which detector a name stands for: results tell what ran, not what was asked for."""

from __future__ import annotations

from emo_edge.detectors import best_detector


def real_name(name: str) -> str:
    """Return the detector that "auto" takes on this machine, or the name as it is."""
    return best_detector() if name == "auto" else name
