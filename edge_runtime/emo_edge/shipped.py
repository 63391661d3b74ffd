"""The models that come with the package: trained, converted and gated by this toolkit."""

from __future__ import annotations

from pathlib import Path

from emo_edge.errors import UsageError

FOLDER = Path(__file__).parent / "models"
DEFAULT = "base"
# A net's name stands for one of its files. tflite-runtime 2.14 runs int8 on its own kernels, and
# the fp16 file of the same net on XNNPACK, which is much faster.
KINDS, OTHERWISE = {"tflite_runtime": "fp16"}, "int8"


def shipped_models() -> dict[str, Path]:
    """Return {name of the file without its ending: model file}."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.tflite"))}


def shipped_nets() -> dict[str, dict[str, Path]]:
    """Return {net: {name of a file: model file}}."""
    nets: dict[str, dict[str, Path]] = {}
    for name, path in shipped_models().items():
        nets.setdefault(name.rpartition("-")[0], {})[name] = path
    return nets


def find_model(text: str, backend: str = "auto") -> Path:
    """Return the model file for a shipped net, a shipped file or a path.

    Args:
        text: A name of `shipped_nets` or `shipped_models`, or a path.
        backend: The runtime that will run it: of a net it gets the file that suits it.

    Raises `UsageError` listing the names if `text` is none of them.
    """
    models, nets = shipped_models(), shipped_nets()
    if text in nets:
        from emo_edge.backends import find_backend  # brings numpy, which --help does without

        kind = KINDS.get(find_backend(backend).name, OTHERWISE)
        return nets[text].get(f"{text}-{kind}", nets[text][f"{text}-{OTHERWISE}"])
    if text in models:
        return models[text]
    path = Path(text)
    if not path.exists() and not path.suffix and path.name == text:
        known = ", ".join((*nets, *models))
        raise UsageError(f"no model {text!r}: give a file, or one of {known}")
    return path
