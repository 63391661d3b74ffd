"""Try an unknown model in a process of its own: a damaged flatbuffer can crash the runtime.

    python -m emo_edge.probe MODEL.tflite BACKEND

Models made by emo-convert need no probe: their checksum is compared before they are loaded.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from emo_edge.backends import Backend, Interpreter, find_backend
from emo_edge.errors import EmoError, ModelError


def refuse_crasher(model: Path, backend: Backend) -> None:
    """Raise `ModelError` if loading and running `model` once kills a process."""
    command = [sys.executable, "-m", "emo_edge.probe", str(model), backend.name]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode < 0:
        raise ModelError(
            f"{model} crashes {backend.version} (signal {-done.returncode}): it is damaged or "
            "truncated; copy it again"
        )


def main() -> None:
    """Load the model and run it on grey; other problems than a crash are for the caller to find."""
    path, backend = sys.argv[1:]
    try:
        interpreter = Interpreter(Path(path).read_bytes(), find_backend(backend))
        interpreter.run(np.full(interpreter.input_shape, 128, np.uint8))
    except EmoError as error:
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
