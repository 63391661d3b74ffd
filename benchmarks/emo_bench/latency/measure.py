"""A latency as it is reported: several fresh processes, the stages of one face, the operators."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emo_bench.children import in_own_process
from emo_bench.latency.operators import adding_up
from emo_bench.plain import require_labels
from emo_bench.results import Result, identity
from emo_bench.statistics import (
    MLPERF_CONFIDENCE,
    MLPERF_PERCENTILE,
    Times,
    block_medians,
    describe,
    describe_few,
    early_stopping_estimate,
    histogram,
    instability,
)
from emo_edge.artifacts import as_text
from emo_edge.errors import EmoError
from emo_edge.modelfile import read_model

# Between processes times differ more than within one (memory layout, clocks): pyperf's finding.
PROCESSES = 5
LEAST_RUNS = 1000
MOST_SECONDS = 30.0  # for a model too slow for so many runs
MLPERF_SECONDS = 600.0
COLD_STEPS = ("process", "import", "load", "first_result")


@dataclass(frozen=True)
class Task:
    """One point of a sweep.

    Attributes:
        model: Model file.
        backend: Name of an installed runtime.
        threads: Of the runtime.
        seconds: Least time of the steady runs, over all processes.
        labels: For a plain .tflite (see `Classifier`).
        input_range: For a plain .tflite.
        picture: With a face, for the stages.
        detector: For the stages.
        mlperf: One process instead of several, and MLPerf's estimate.
        per_op: Time each operator, too.
    """

    model: Path
    backend: str
    threads: int
    seconds: float
    labels: Path | None
    input_range: tuple[float, float] | None
    picture: Path
    detector: str
    mlperf: bool
    per_op: bool = False

    def for_its_file(self) -> Task:
        """Return the task without the labels and range that a file with its own refuses."""
        own = read_model(self.model).spec is not None
        return dataclasses.replace(self, labels=None, input_range=None) if own else self

    def to_json(self) -> dict[str, Any]:
        """Return the task for another process."""
        return {
            "model": str(self.model),
            "backend": self.backend,
            "threads": self.threads,
            "labels": None if self.labels is None else str(self.labels),
            "input_range": self.input_range,
        }


def measure(task: Task) -> Result:
    """Measure one model on one runtime; times in milliseconds. See docs/benchmarks.md."""
    if read_model(task.model).spec is None:
        require_labels(task.model, task.labels)
    stages = in_own_process(
        "emo_bench.latency.stages",
        task.to_json() | {"picture": str(task.picture), "detector": task.detector},
    )
    processes = 1 if task.mlperf else PROCESSES
    runs, times = zip(*(_run(task, processes) for _ in range(processes)), strict=True)
    every = np.concatenate(times)
    statistics = describe(every)
    medians = [round(float(np.median(part)), 5) for part in times]
    result = {
        **identity(task.model),
        "runtime": runs[0]["runtime"],
        "threads": task.threads,
        "milliseconds": statistics,
        "per_second": round(len(every) / sum(run["seconds"] for run in runs), 1),
        "cpu_milliseconds": describe_few([run["cpu_milliseconds"] for run in runs]),
        "process_medians": medians,
        "block_medians": [value for part in times for value in block_medians(part)],
        "histogram": histogram(every),
        "cold_start": _cold_start(runs),
        "resident_mib": _resident(runs),
        "operators": runs[0]["operators"],
        "stages": {"picture": as_text(task.picture.name), **stages},
        "warnings": [*_too_few(len(every)), *instability(statistics, medians)],
    }
    if task.per_op:
        result["warnings"] += _time_operators(task, result["operators"])
    if task.mlperf:
        result["mlperf"] = _single_stream(every, runs[0]["seconds"])
    return result


def _run(task: Task, processes: int) -> tuple[dict[str, Any], Times]:
    with tempfile.TemporaryDirectory(prefix="emo-latency-") as folder:
        times = Path(folder, "times.npy")
        share = {
            "runs": -(-LEAST_RUNS // processes),
            "seconds": task.seconds / processes,
            "most_seconds": max(task.seconds, MOST_SECONDS) / processes,
            "times": str(times),
            "spawned": time.monotonic(),
        }
        run = in_own_process("emo_bench.latency.run", task.to_json() | share)
        return run, np.load(times)


def _cold_start(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the statistics of each step of a cold start, and of the whole, in milliseconds."""
    steps = {step: [1000 * run["cold"][step] for run in runs] for step in COLD_STEPS}
    steps["total"] = [1000 * sum(run["cold"].values()) for run in runs]
    return {step: describe_few(times) for step, times in steps.items()}


def _resident(runs: Sequence[dict[str, Any]]) -> dict[str, float] | None:
    sizes = [run["resident_mib"] for run in runs]
    return None if None in sizes else describe_few(sizes)


def _time_operators(task: Task, made: dict[str, Any]) -> list[str]:
    """Add the times of operators to what is told of them; return what is wrong with them."""
    try:
        times = in_own_process("emo_bench.latency.operator_times", task.to_json())
    except EmoError as error:
        return [f"its operators could not be timed: {error}"]
    for number, operator in enumerate(made["list"]):
        operator["milliseconds"] = times["operators"].get(str(number))
    made |= {"whole": times["whole"], "partitions": times["partitions"]}
    return adding_up(made)


def _too_few(runs: int) -> list[str]:
    if runs >= LEAST_RUNS:
        return []
    return [f"only {runs} runs: at least {LEAST_RUNS} were meant to be; give more --seconds"]


def _single_stream(times: Times, seconds: float) -> dict[str, Any]:
    """Return MLPerf's figures; `valid` says whether its duration and its least count were met."""
    estimate = early_stopping_estimate(times)
    return {
        "scenario": "SingleStream",
        "percentile": MLPERF_PERCENTILE,
        "confidence": MLPERF_CONFIDENCE,
        "seconds": round(seconds, 1),
        "queries": len(times),
        "p90_estimate": None if estimate is None else round(estimate, 5),
        "valid": seconds >= MLPERF_SECONDS and estimate is not None,
    }
