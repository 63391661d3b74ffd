"""Try a model in a process of its own: a damaged flatbuffer can crash the runtime.

    python -m emo_edge.probe MODEL.tflite BACKEND

Models made by emo-convert need no probe before they are used: their checksum is compared first.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from emo_edge.backends import Backend, Interpreter, find_backend
from emo_edge.errors import EmoError, ModelError
from emo_edge.messages import say


def refuse_crasher(model: Path, backend: Backend) -> None:
    """Raise `ModelError` if loading and running `model` once kills a process."""
    _probe(model, backend)


def delegates(model: Path, backend: Backend) -> int:
    """Return how many pieces of `model` run inside a delegate; raises `ModelError` if none runs."""
    done = _probe(model, backend)
    if done.returncode:
        raise ModelError(done.stderr.strip())
    return int(done.stdout)


def _probe(model: Path, backend: Backend) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emo_edge.probe", str(model), backend.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
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
        interpreter = Interpreter(Path(path).read_bytes(), find_backend(backend))
        interpreter.run(np.full(interpreter.input_shape, 128, np.uint8))
    except EmoError as error:
        say(str(error))
        sys.exit(error.exit_code)
    print(interpreter.delegates())


if __name__ == "__main__":
    main()
