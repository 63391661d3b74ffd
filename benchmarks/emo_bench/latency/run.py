"""One fresh process: its cold start, then many classifications.

    python -m emo_bench.latency.run TASK

Prints JSON. Nothing but the device's own classifier is imported until it has given its first
result, so that the cold start is that of a program on the device.
"""

from __future__ import annotations

import time
from array import array
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emo_bench.children import answer
from emo_bench.latency import BEGAN

if TYPE_CHECKING:
    from emo_edge.classifier import Classifier

WARM_UP_RUNS = 50


def _measure(task: dict[str, Any]) -> dict[str, Any]:
    from emo_edge.classifier import Classifier

    _import_runtime(task["backend"])

    imported = time.monotonic()
    classifier = Classifier(Path(task["model"]), **classifier_options(task))
    loaded = time.monotonic()
    import numpy as np

    classifier.classify(np.full(classifier.spec.input_shape, 128, np.uint8))
    answered = time.monotonic()
    result = {
        "runtime": classifier.interpreter.backend.version,
        "cold": {
            "process": BEGAN - task["spawned"],
            "import": imported - BEGAN,
            "load": loaded - imported,
            "first_result": answered - loaded,
        },
        "resident_mib": resident_mib(),
    }
    from emo_bench.latency.operators import anatomy

    result["operators"] = anatomy(classifier.interpreter)
    return result | _steady(classifier, task)


def _import_runtime(backend: str) -> None:
    """Import the runtime, so that this is no part of loading a model."""
    from emo_edge.backends import find_backend
    from emo_edge.messages import hushed

    with hushed():
        import_module(find_backend(backend).module)


def classifier_options(task: dict[str, Any]) -> dict[str, Any]:
    """Return what the task says of its classifier."""
    labels, scaling = task["labels"], task["input_range"]
    return {
        "labels": None if labels is None else Path(labels),
        "input_range": None if scaling is None else tuple(scaling),
        "backend": task["backend"],
        "threads": task["threads"],
        "contained": True,  # the parent waits for this process, and a model is tried only once
    }


def resident_mib() -> float | None:
    """Return the resident memory of this process; None where there is no /proc."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None
    return next(
        int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")
    )


def _steady(classifier: Classifier, task: dict[str, Any]) -> dict[str, Any]:
    """Time classification after classification; the times go to a file, as float64 ms."""
    import numpy as np

    faces = np.random.default_rng(0).integers(0, 256, (16, *classifier.spec.input_shape), np.uint8)
    for run in range(WARM_UP_RUNS):
        classifier.classify(faces[run % len(faces)])
    least, most = task["seconds"] * 1e9, task["most_seconds"] * 1e9
    times = array("q")
    spent = time.process_time()
    began = now = time.perf_counter_ns()
    while (len(times) < task["runs"] or now - began < least) and now - began < most:
        pixels = faces[len(times) % len(faces)]
        start = time.perf_counter_ns()
        classifier.classify(pixels)
        now = time.perf_counter_ns()
        times.append(now - start)
    np.save(task["times"], np.array(times) / 1e6)
    return {
        "seconds": (now - began) / 1e9,
        "cpu_milliseconds": 1000 * (time.process_time() - spent) / len(times),
    }


if __name__ == "__main__":
    answer(_measure)
