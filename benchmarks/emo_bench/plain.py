"""Models without metadata: what must be said of them, by the options of these commands."""

from __future__ import annotations

from pathlib import Path

from emo_edge.errors import UsageError


def require_labels(path: Path, labels: Path | None) -> None:
    """Raise `UsageError`, by the names of the options here, for a plain model without labels."""
    if labels is None:
        raise UsageError(
            f"{path} carries no emo-toolkit metadata: give --model-labels FILE, or convert it "
            "with emo-convert"
        )
