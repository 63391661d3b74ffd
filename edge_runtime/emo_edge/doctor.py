"""`emo-edge doctor`: what is installed, what works, and the line that fixes what does not."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from emo_edge.backends import BACKENDS
from emo_edge.errors import EmoError


@dataclass(frozen=True)
class Finding:
    """One line of the examination."""

    verdict: Literal["OK", "note", "problem"]
    subject: str
    detail: str


def examine(model: Path) -> Iterator[Finding]:
    """Yield the findings about this machine and a model file."""
    yield Finding("OK", "python", f"{platform.python_version()} on {platform.machine()}")
    yield from _packages()
    yield _tried("detector", _detector)
    yield _cameras()
    for backend in BACKENDS.values():
        if backend.installed and (backend.name != "tensorflow" or _only_tensorflow()):
            yield _tried("model", functools.partial(_model, model, backend.name))


def _packages() -> Iterator[Finding]:
    for name in ("numpy", "opencv-python-headless"):
        try:
            yield Finding("OK", name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            # Debian's python3-numpy and python3-opencv are as good
            yield Finding("note", name, "not installed by pip")
    runtimes = [backend.version for backend in BACKENDS.values() if backend.installed]
    if runtimes:
        yield Finding("OK", "runtime", ", ".join(runtimes))
    else:
        yield Finding("problem", "runtime", "none; run: pip install emo-toolkit")


def _only_tensorflow() -> bool:
    return not any(b.installed for b in BACKENDS.values() if b.name != "tensorflow")


def _tried(subject: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding("OK", subject, check())
    except EmoError as error:
        return Finding("problem", subject, str(error))
    except (ImportError, SystemError) as error:  # a numpy that the runtime was not built for
        fix = "run: pip install --force-reinstall emo-toolkit"
        return Finding("problem", subject, f"{type(error).__name__}: {error}; {fix}")


def _detector() -> str:
    from emo_edge.detectors import make_detector
    from emo_edge.detectors.fetch import yunet_fetched, yunet_path

    make_detector("haar")
    if not yunet_fetched():
        return "haar; for a better one run: emo-edge fetch-detector"
    make_detector("yunet")
    return f"yunet ({yunet_path()}), haar"


def _cameras() -> Finding:
    from emo_edge.sources import cameras

    found = ", ".join(f"{camera.name} ({camera.title})" for camera in cameras())
    return Finding("OK", "cameras", found) if found else Finding("note", "cameras", "none found")


def _model(path: Path, backend: str) -> str:
    from emo_edge.classifier import Classifier
    from emo_edge.modelfile import read_model

    classifier = Classifier(path, backend=backend)
    where = f"{path.name} on {classifier.interpreter.backend.version}"
    golden = read_model(path).golden
    if golden is None:
        return f"{where} loads; it carries no golden vectors"
    difference, _ = classifier.golden_difference(golden)
    return f"{where}: {len(golden.pixels)} golden vectors right (mean |dp| {difference:.4f})"
