"""What was found on this board: kept in the user's cache, for this board, model and versions."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emo_edge.artifacts import read_at_most, sha256, write_json
from emo_edge.backends import BACKENDS
from emo_edge.board.sensors import board_model, cpu_model
from emo_edge.cache import cache_folder
from emo_edge.errors import OutputError
from emo_edge.modelfile import MAX_MODEL_BYTES
from emo_edge.tuning.search import Trial
from emo_edge.version import __version__

FORMAT = 1
MOST_THREADS = 64


@dataclass(frozen=True)
class Tuned:
    """The winner for one model.

    Attributes:
        model: The file to load.
        backend: Its runtime.
        threads: Threads of the runtime.
        median_ms: Milliseconds of one face when it was measured.
    """

    model: Path
    backend: str
    threads: int
    median_ms: float


def memory_file() -> Path:
    """Return where everything is kept."""
    return cache_folder() / "tuned.json"


def conditions() -> dict[str, str | None]:
    """Return what a result holds for: another board, CPU or version makes it worthless."""
    found: dict[str, str | None] = {
        "board": board_model(),
        "CPU": cpu_model(),
        "machine": platform.machine(),
        "Python": platform.python_version(),
        "emo-toolkit": __version__,
        "numpy": np.__version__,
    }
    return found | {b.name: b.version for b in BACKENDS.values() if b.installed}


def remember(named: Path, best: Trial) -> Path:
    """Keep the winner for the model that was named; returns the file.

    Raises `OutputError` if the cache cannot be written.
    """
    assert best.median_ms is not None
    models = _read() or {}
    models[sha256(named.read_bytes())] = {
        "conditions": conditions(),
        "model": str(best.variant.path),
        "model_sha256": best.variant.sha256,
        "backend": best.backend,
        "threads": best.threads,
        "median_ms": best.median_ms,
    }
    write_json(memory_file(), {"format": FORMAT, "models": models})
    return memory_file()


def recall(named: Path) -> tuple[Tuned | None, str]:
    """Return the winner for a model, and why what was remembered no longer holds ("" if it does).

    A memory that is missing or damaged is none.
    """
    kept = (_read() or {}).get(_digest(named))
    if not isinstance(kept, dict):
        return None, ""
    now, then = conditions(), kept.get("conditions")
    then = then if isinstance(then, dict) else {}
    # Of both: a runtime that is gone stands in `then` alone.
    changed = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    if changed:
        return None, f"{changed[0]} changed"
    try:
        tuned = Tuned(
            Path(kept["model"]), kept["backend"], int(kept["threads"]), float(kept["median_ms"])
        )
        sound = tuned.backend in BACKENDS and 1 <= tuned.threads <= MOST_THREADS
    except (KeyError, TypeError, ValueError, OverflowError):
        sound = False
    if not sound:
        return None, "it is damaged"
    if _digest(tuned.model) != kept.get("model_sha256"):
        return None, f"{tuned.model} changed"
    return tuned, ""


def _digest(path: Path) -> str:
    try:
        return sha256(read_at_most(path, MAX_MODEL_BYTES))
    except (OSError, ValueError):  # ValueError: a NUL in its name
        return ""


def _read() -> dict[str, Any] | None:
    try:
        content = json.loads(memory_file().read_text(encoding="utf-8"))
    except (OSError, OutputError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        return None
    models = content.get("models")
    return models if isinstance(models, dict) else None
