"""The models that come with the package: trained, converted and gated by this toolkit."""

from __future__ import annotations

from pathlib import Path

from emo_edge.errors import UsageError

FOLDER = Path(__file__).parent / "models"
DEFAULT = "small"


def shipped_models() -> dict[str, Path]:
    """Return {name: model file}."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.tflite"))}


def find_model(text: str) -> Path:
    """Return the model file for a shipped model's name or a path.

    Raises `UsageError` listing the names if `text` is neither.
    """
    known = shipped_models()
    if text in known:
        return known[text]
    path = Path(text)
    if not path.exists() and not path.suffix and path.name == text:
        raise UsageError(f"no model {text!r}: give a file, or one of {', '.join(known)}")
    return path
