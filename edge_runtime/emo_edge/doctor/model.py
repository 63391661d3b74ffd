"""A model on every runtime of this machine: does it run, is it right, is it fast."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from emo_edge.backends import BACKENDS, Backend
from emo_edge.doctor.finding import Finding, tried
from emo_edge.errors import EmoError
from emo_edge.shipped import DEFAULT, find_model


def examine(name: str) -> Iterator[Finding]:
    """Yield the findings about a shipped net or a model file."""
    installed = [backend for backend in BACKENDS.values() if backend.installed]
    light = [backend for backend in installed if backend.name != "tensorflow"]
    for backend in light or installed:
        yield tried("model", partial(_answers, find_model(name), backend))
    yield tried("tuning", partial(_tuned, name))


def _answers(path: Path, backend: Backend) -> Finding:
    from emo_edge.classifier import Classifier
    from emo_edge.modelfile import read_model

    file = read_model(path)
    minimum = file.spec.minimum_runtime if file.spec is not None else ""
    where = f"{path.name} on {backend.version}"
    if file.spec is None:
        return Finding("note", "model", f"{path.name} is a plain .tflite: nothing to compare with")
    try:
        classifier = Classifier(path, backend=backend.name)
    except EmoError as error:
        if not too_old(minimum, backend):
            raise
        return Finding(
            "problem",
            "model",
            f"{where}: {error}; the model says that it needs {minimum}",
            'pip install "ai-edge-litert>=1.2", or convert it with --runtime tflite-runtime-2.14',
        )
    pieces = classifier.interpreter.delegates()
    speed = f"{pieces} piece(s) on XNNPACK" if pieces else "nothing on XNNPACK"
    if file.golden is None:
        return Finding("note", "model", f"{where} runs, {speed}; it carries no golden vectors")
    difference, _ = classifier.golden_difference(file.golden)
    right = f"{len(file.golden.pixels)} golden vectors right (mean |dp| {difference:.4f})"
    return Finding("OK", "model", f"{where}: {right}, {speed}")


def too_old(minimum: str, backend: Backend) -> bool:
    """Return whether a runtime is older than a model's recorded minimum, e.g. "litert-1.4"."""
    name, _, version = minimum.rpartition("-")
    if backend.name == "tflite_runtime":
        return name == "litert"
    return name == "litert" and _numbers(backend.version) < _numbers(version)


def _numbers(text: str) -> tuple[int, ...]:
    found = re.search(r"\d+(\.\d+)+", text)
    return tuple(map(int, found.group().split("."))) if found else ()


def _tuned(name: str) -> Finding:
    from emo_edge.tuning.memory import recall

    best, outdated = recall(find_model(name))
    if best is not None:
        said = f"{best.model.name} on {best.backend}, {best.threads} thread(s)"
        return Finding("OK", "tuning", f"{said}, {best.median_ms:.2f} ms a face")
    why = f"out of date ({outdated})" if outdated else "not measured on this board"
    line = "emo-edge tune" if name == DEFAULT else f"emo-edge tune --model {name}"
    return Finding("note", "tuning", why, line)
