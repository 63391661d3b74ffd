"""The models that come with the package: trained, converted and gated by this toolkit."""

from __future__ import annotations

from pathlib import Path

from emo_edge.errors import UsageError

FOLDER = Path(__file__).parent / "models"
DEFAULT = "base"
# A net's name stands for this file of it, the fastest by far on most cores (benchmarks/results/);
# `emo-edge tune` tries the others on the board.
KIND = "int8"


def shipped_models() -> dict[str, Path]:
    """Return {name of the file without its ending: model file}."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.tflite"))}


def shipped_nets() -> dict[str, dict[str, Path]]:
    """Return {net: {name of a file: model file}}."""
    nets: dict[str, dict[str, Path]] = {}
    for name, path in shipped_models().items():
        nets.setdefault(name.rpartition("-")[0], {})[name] = path
    return dict(sorted(nets.items()))


def is_shipped(text: str) -> bool:
    """Whether `text` names a shipped net or file, which come before paths of the same name."""
    return text in shipped_nets() or text in shipped_models()


def find_model(text: str) -> Path:
    """Return the model file for a shipped net, a shipped file or a path.

    Raises `UsageError` listing the names if `text` is none of them.
    """
    models, nets = shipped_models(), shipped_nets()
    if text in nets:
        return models[f"{text}-{KIND}"]
    if text in models:
        return models[text]
    path = Path(text)
    if not path.exists() and not path.suffix and path.name == text:
        known = ", ".join((*nets, *models))
        raise UsageError(f"no model {text!r}: give a file, or one of {known}")
    return path
