"""How long one classification takes: the device's own classifier, timed call by call."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emo_bench.results import identity
from emo_edge.classifier import Classifier

WARM_UP_RUNS = 50
LEAST_RUNS = 1000
MOST_SECONDS = 120.0
UNSTABLE_SPREAD = 1.5


def measure(model: Path, *, backend: str, threads: int, seconds: float) -> dict[str, Any]:
    """Return the latency of one face, prepared pixels to probabilities, in milliseconds.

    Warm-up runs are not counted; then at least 1,000 runs and `seconds` seconds, whichever is
    longer (but at most two minutes).
    """
    classifier = Classifier(model, backend=backend, threads=threads)
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (16, *classifier.spec.input_shape), np.uint8)
    for run in range(WARM_UP_RUNS):
        classifier.classify(faces[run % len(faces)])
    times = _timed_runs(classifier, faces, seconds)
    statistics = describe(times)
    return {
        **identity(model),
        "runtime": classifier.interpreter.backend.version,
        "threads": threads,
        "milliseconds": statistics,
        "warnings": spread_warnings(statistics),
    }


def spread_warnings(statistics: dict[str, float]) -> list[str]:
    """Return why statistics made by `describe` are not to be trusted."""
    spread = statistics["p90"] / statistics["median"]
    if spread > UNSTABLE_SPREAD:
        return [f"p90 is {spread:.1f} times the median: the numbers are unstable"]
    return []


def _timed_runs(
    classifier: Classifier, faces: NDArray[np.uint8], seconds: float
) -> NDArray[np.float64]:
    times: list[int] = []
    began = now = time.perf_counter_ns()
    while (len(times) < LEAST_RUNS or now - began < seconds * 1e9) and (
        now - began < MOST_SECONDS * 1e9
    ):
        pixels = faces[len(times) % len(faces)]
        start = time.perf_counter_ns()
        classifier.classify(pixels)
        now = time.perf_counter_ns()
        times.append(now - start)
    return np.array(times) / 1e6


def describe(times: NDArray[np.float64]) -> dict[str, float]:
    """Return runs, min, median, MAD and percentiles of times in milliseconds.

    MAD is the median absolute deviation from the median, unscaled.
    """
    median = float(np.median(times))
    p90, p95, p99 = np.percentile(times, [90, 95, 99])
    values = {
        "min": times.min(),
        "median": median,
        "mad": np.median(np.abs(times - median)),
        "p90": p90,
        "p95": p95,
        "p99": p99,
    }
    return {"runs": len(times), **{name: round(float(v), 4) for name, v in values.items()}}
