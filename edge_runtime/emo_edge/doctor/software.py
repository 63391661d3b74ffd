"""Python, packages, runtimes, face detector, configuration file."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from emo_edge.backends import BACKENDS
from emo_edge.doctor.finding import Finding, tried

PYTHONS = ((3, 10), (3, 13))


def examine(config: Path | None = None) -> Iterator[Finding]:
    """Yield the findings about what is installed, and a configuration (see `doctor.examine`)."""
    yield _python()
    yield tried("numpy", _numpy)
    yield tried("opencv", _opencv)
    yield _runtime()
    yield tried("detector", _detector)
    yield tried("configuration", partial(_configuration, config))
    yield tried("service", _service)


def _python() -> Finding:
    said = f"{platform.python_version()} on {platform.machine()}"
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return Finding("OK", "python", said)
    return Finding(
        "problem", "python", said, "install into Python 3.10 to 3.13: python3.11 -m venv ..."
    )


def _numpy() -> Finding:
    import numpy as np

    if int(np.__version__.split(".")[0]) >= 2 and BACKENDS["tflite_runtime"].installed:
        return Finding(
            "problem",
            "numpy",
            f"{np.__version__}, but tflite_runtime was built for numpy 1",
            'pip install "numpy<2" "opencv-python-headless==4.10.0.84"',
        )
    return Finding("OK", "numpy", np.__version__)


def _opencv() -> Finding:
    import cv2

    if cv2.__version__.startswith("4.11"):
        return Finding(
            "note",
            "opencv",
            f"{cv2.__version__} misreads cameras that give BGR3",
            'pip install "opencv-python-headless==4.10.0.84"',
        )
    return Finding("OK", "opencv", cv2.__version__)


def _runtime() -> Finding:
    runtimes = [backend.version for backend in BACKENDS.values() if backend.installed]
    if not runtimes:
        return Finding("problem", "runtime", "none", "pip install emo-toolkit")
    return Finding("OK", "runtime", ", ".join(runtimes))


def _detector() -> Finding:
    from emo_edge.detectors import best_detector, make_detector
    from emo_edge.detectors.fetch import yunet_path
    from emo_edge.detectors.yunet import opencv_is_new_enough

    best = best_detector()
    make_detector(best)
    if best == "yunet":
        return Finding("OK", "detector", f"yunet ({yunet_path()})")
    if not opencv_is_new_enough():
        return Finding("OK", "detector", "haar: this OpenCV is too old for yunet")
    return Finding(
        "note", "detector", "haar; yunet finds more faces and costs less", "emo-edge fetch-detector"
    )


def _configuration(named: Path | None) -> Finding:
    import typer.main
    from typer.core import TyperGroup

    from emo_edge.cli import app
    from emo_edge.config import OF_THE_MACHINE, find_config, options_of, read_config, shows_secrets

    path = find_config() if named is None else named
    if path is None:
        return Finding("OK", "configuration", "none: emo-edge init writes one")
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    context = typer.Context(command)
    values = read_config(path, options_of(command), context)
    said = f"{path}: {len(values)} option(s)"
    if shows_secrets(path, values):
        # The user of a service has to read the machine's.
        where = "EMO_TOKEN or EMO_MQTT_PASSWORD, in a file of root's: see docs/page.md"
        fix = f"keep it in {where}" if path == OF_THE_MACHINE else f"chmod 600 {path}"
        return Finding("note", "configuration", f"{said}, a secret that others can read", fix)
    return Finding("OK", "configuration", said)


def _service() -> Finding:
    from emo_edge.board.service import RUNNING, UNIT_FILE, require_active, status

    if not RUNNING.is_dir() or not UNIT_FILE.exists():
        return Finding("OK", "service", "not installed: emo-edge service install makes one")
    state = status()
    require_active(state)
    said = f"active, {state.get('NRestarts', '?')} restart(s): {state.get('StatusText', '')}"
    return Finding("OK", "service", said)
