"""Try a model in a process of its own: a damaged flatbuffer can crash the runtime.

    python -m emo_edge.probe MODEL.tflite BACKEND

A checksum finds damage but not malice, so every model that does not come with the package is tried
once; what was survived on this machine is remembered in the user's cache.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from emo_edge.artifacts import sha256
from emo_edge.backends import Backend, Interpreter, find_backend
from emo_edge.cache import cache_folder
from emo_edge.errors import EmoError, ModelError, OutputError
from emo_edge.messages import say
from emo_edge.modelfile import read_model
from emo_edge.processes import module_command
from emo_edge.shipped import FOLDER

PROBE_SECONDS = 120.0


def refuse_crasher(model: Path, backend: Backend) -> None:
    """Raise `ModelError` if loading and running `model` once kills a process, or never ends."""
    if model.resolve().parent == FOLDER.resolve():
        return
    survived = _survived(model, backend)
    if survived is not None and _is_there(survived):
        return
    done = _probe(model, backend)
    if survived is not None and done.returncode == 0:
        _remember(survived)


def _survived(model: Path, backend: Backend) -> Path | None:
    """Return the mark of a model that was survived here; None where nothing can be kept."""
    conditions = f"{backend.version} numpy {np.__version__} {platform.machine()}"
    try:
        content = sha256(model.read_bytes() + conditions.encode())
        return cache_folder() / "survived" / content[:32]
    except OutputError:  # a user without a home: each run tries anew
        return None


def _is_there(mark: Path) -> bool:
    try:
        return mark.exists()
    except PermissionError:  # another user's cache
        return False


def _remember(mark: Path) -> None:
    # A cache that cannot be written costs the next run a trial, nothing more.
    with suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def delegates(model: Path, backend: Backend) -> int:
    """Return how many pieces of `model` run inside a delegate; raises `ModelError` if none runs."""
    done = _probe(model, backend)
    if done.returncode:
        raise ModelError(done.stderr.strip())
    return int(done.stdout)


def _probe(model: Path, backend: Backend) -> subprocess.CompletedProcess[str]:
    command = module_command("emo_edge.probe", str(model), backend.name)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{model} gives no answer on {backend.version} in {PROBE_SECONDS:.0f} s"
        ) from error
    if done.returncode < 0:
        raise ModelError(
            f"{model} crashes {backend.version} (signal {-done.returncode}): it is damaged or "
            "truncated; copy it again"
        )
    return done


def main() -> None:
    """Load the model, run it on grey, and print how many delegates it has."""
    path, backend = sys.argv[1:]
    try:
        interpreter = Interpreter(read_model(Path(path)).flatbuffer, find_backend(backend))
        interpreter.run(np.full(interpreter.input_shape, 128, np.uint8))
    except EmoError as error:
        say(str(error))
        sys.exit(error.exit_code)
    print(interpreter.delegates())


if __name__ == "__main__":
    main()
