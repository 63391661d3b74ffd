"""Who is measured: whole programs, and bare models in every engine that reads them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from environments import PeerError, environment, our_environment

from emo_edge.errors import UsageError

# Which engines read which files: adapter -> environment.
ENGINES = {
    ".tflite": {"tflite": "tflite"},
    ".onnx": {"onnxruntime": "onnxruntime", "opencv-dnn": "opencv"},
    ".keras": {"keras": "keras"},
    ".h5": {"keras": "keras"},
    ".hdf5": {"keras": "keras"},
}
ENGINE_NAMES = {
    "tflite": "tflite-runtime",
    "onnxruntime": "onnxruntime",
    "opencv-dnn": "OpenCV DNN",
    "keras": "Keras",
}


@dataclass(frozen=True)
class Peer:
    """One row of the table.

    Attributes:
        name: For people.
        pins: Name of its requirements file; empty for this repository.
        adapter: Name in `adapters.ADAPTERS` and its arguments.
        program: Whether it finds faces too, so that a video can be given to it.
    """

    name: str
    pins: str
    adapter: tuple[str, ...]
    program: bool

    def python(self, cache: Path) -> Path:
        """Return the Python of its environment, made on first use."""
        return environment(cache, self.pins) if self.pins else our_environment(cache)


def programs(*, with_yunet: bool) -> list[Peer]:
    """Return the packages that read expressions in whole pictures, this one first."""
    ours = [("base", "haar"), ("small", "haar")]
    ours += [(net, "yunet") for net, _ in ours] if with_yunet else []
    ours.append(("base-fer", "haar"))
    return [
        *(Peer(f"emo-toolkit {', '.join(us)}", "", ("emo-toolkit", *us), True) for us in ours),
        Peer("fer, Haar", "fer", ("fer",), True),
        Peer("fer, MTCNN", "fer", ("fer", "mtcnn"), True),
        Peer("deepface", "deepface", ("deepface",), True),
        Peer("HSEmotion B0", "hsemotion", ("hsemotion",), False),
    ]


def bare(model: Path, labels: Sequence[str], input_range: tuple[float, float]) -> Iterator[Peer]:
    """Yield a peer for each engine that reads `model`."""
    if model.suffix not in ENGINES:
        raise UsageError(f"{model}: give one of {', '.join(ENGINES)}")
    for adapter, pins in ENGINES[model.suffix].items():
        arguments = (str(model.absolute()), ",".join(labels), *map(str, input_range))
        name = f"{model.stem}, {ENGINE_NAMES[adapter]}"
        yield Peer(name, pins, (adapter, *arguments), False)


def converted(model: Path, cache: Path) -> list[Path]:
    """Convert a Keras model to .tflite and .onnx below `cache`; other models give nothing."""
    if "keras" not in ENGINES.get(model.suffix, ()):
        return []
    out = [cache / "converted" / f"{model.stem}{suffix}" for suffix in (".tflite", ".onnx")]
    if not all(path.exists() for path in out):
        out[0].parent.mkdir(parents=True, exist_ok=True)
        script = Path(__file__).with_name("convert.py")
        command = [environment(cache, "convert"), script, model, *out]
        done = subprocess.run(
            command, capture_output=True, text=True, env=clean_environment(cache), check=False
        )
        if done.returncode:
            raise PeerError(f"{model} cannot be converted: {last_line(done.stderr)}")
    return out


def clean_environment(cache: Path) -> dict[str, str]:
    """Return environment variables without this session's Python; a home below `cache`.

    Packages fetch their weights into the home. No GPU is offered: a board has none.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    home = cache / "home"
    home.mkdir(parents=True, exist_ok=True)
    hush = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    return {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), **hush}


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line for line in text.splitlines() if line.strip()]
    return shorten(lines[-1], 200, placeholder=" ...") if lines else "it said nothing"
