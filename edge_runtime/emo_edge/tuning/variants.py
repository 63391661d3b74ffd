"""The variants of a model: files beside it that were converted from the same Keras model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emo_edge.artifacts import sha256
from emo_edge.errors import ModelError, UsageError
from emo_edge.modelfile import read_model
from emo_edge.spec import ModelSpec

# Of top-1, in points, that a faster variant may score below the one that was named: what the parity
# gate allows by default.
MOST_POINTS = 1.0


@dataclass(frozen=True)
class Variant:
    """One file.

    Attributes:
        path: Where it is.
        sha256: Of the whole file.
        top1: Share of right answers on the faces of its parity gate; None if they had no labels.
    """

    path: Path
    sha256: str
    top1: float | None


def variants_of(model: Path) -> list[Variant]:
    """Return the named model, then the files beside it that may stand in for it.

    Such a file carries the same labels and contract, was converted from the same Keras model, has
    passed its parity gate (emo-convert writes no other), and scores at most `MOST_POINTS` less.

    Raises `UsageError` for a plain .tflite, of which nothing is known.
    """
    content = read_model(model)
    if content.spec is None:
        raise UsageError(f"{model} carries no emo-toolkit metadata: there is nothing to choose")
    named = _variant(model, content.spec)
    others = []
    for path in sorted(model.parent.glob("*.tflite")):
        if path.resolve() == model.resolve():
            continue
        try:
            spec = read_model(path).spec
        except ModelError:  # somebody else's file is no reason to stop
            continue
        if spec is not None and _same_model(spec, content.spec):
            others.append(_variant(path, spec))
    return [named, *(other for other in others if _as_right(other, named))]


def _variant(path: Path, spec: ModelSpec) -> Variant:
    scores = [_within(parity, "accuracy", "export_top1") for parity in _parities(spec)]
    return Variant(
        path=path.absolute(),
        sha256=sha256(path.read_bytes()),
        top1=min((score for score in scores if isinstance(score, float)), default=None),
    )


def _same_model(one: ModelSpec, other: ModelSpec) -> bool:
    source = _within(one.conversion, "source", "sha256")
    return (
        source is not None
        and source == _within(other.conversion, "source", "sha256")
        and one.labels == other.labels
        and one.input_shape == other.input_shape
        and bool(_parities(one))
    )


def _parities(spec: ModelSpec) -> list[Any]:
    parities = spec.conversion.get("parity")
    return parities if isinstance(parities, list) else []


def _within(content: Any, *keys: str) -> Any:
    """Return what lies under `keys`, None where a stranger's metadata has another form."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _as_right(variant: Variant, named: Variant) -> bool:
    if variant.top1 is None or named.top1 is None:
        return variant.top1 is named.top1
    return named.top1 - variant.top1 <= MOST_POINTS / 100
