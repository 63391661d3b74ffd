"""Will it run there? Which operators, in which versions, each runtime really accepts.

`min_runtime_version` inside a .tflite is often blank or stale, so the tables were probed: see
`probe_runtime.py`, which makes them.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files

from emo_convert.anatomy import Anatomy
from emo_edge.backends import Backend
from emo_edge.errors import UsageError

# Oldest first: what runs on the first runs on all of them.
RUNTIMES = ("tflite-runtime-2.14", "litert-1.2", "litert-1.4", "litert-2.3")
OLDEST = RUNTIMES[0]

FIXES = {
    "FULLY_CONNECTED": "use per-tensor weights for dense layers (emo-convert writes them by "
    "default), or a 1x1 convolution in place of the dense layer",
}
GENERAL_FIX = "replace the layer that makes it, or choose a newer --runtime"


@cache
def accepted(runtime: str) -> dict[str, tuple[int, int]]:
    """Return {operator: (lowest, highest accepted version)} of a runtime."""
    if runtime not in RUNTIMES:
        raise UsageError(f"unknown runtime {runtime!r}; choose from {', '.join(RUNTIMES)}")
    table = files("emo_convert").joinpath("runtime_tables", f"{runtime}.json").read_text("utf-8")
    return {name: (low, high) for name, (low, high) in json.loads(table)["operators"].items()}


def refusals(anatomy: Anatomy, runtime: str) -> list[str]:
    """Return what `runtime` would refuse in a model, each with its fix; empty if it runs."""
    known = accepted(runtime)
    found = []
    for name, version in sorted(anatomy.operators):
        low, high = known.get(name, (0, 0))
        if low <= version <= high:
            continue
        knows = f"knows versions {low} to {high}" if high else "does not know it"
        fix = FIXES.get(name, GENERAL_FIX)
        found.append(f"{name} version {version}: {runtime} {knows}; {fix}")
    return found


def older(installed: Backend, runtime: str) -> bool:
    """Tell whether an installed runtime is older than `runtime`, so that it may refuse the model.

    TensorFlow's own interpreter, and one that hides its version, never are.
    """
    version = re.search(r"(\d+)\.(\d+)", installed.version)
    if installed.name == "tensorflow" or version is None:
        return False
    family = installed.distribution.removeprefix("ai-edge-")
    return _age(f"{family}-{version[0]}") < _age(runtime)


def _age(runtime: str) -> tuple[bool, int, int]:
    """Return what orders runtimes: LiteRT, which counts anew, follows tflite-runtime."""
    family, _, version = runtime.rpartition("-")
    major, minor = version.split(".")
    return family == "litert", int(major), int(minor)


def runs_on(anatomy: Anatomy) -> list[str]:
    """Return the runtimes that accept every operator of a model, oldest first."""
    return [runtime for runtime in RUNTIMES if not refusals(anatomy, runtime)]
