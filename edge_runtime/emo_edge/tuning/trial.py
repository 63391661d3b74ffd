"""One measurement in a process of its own, so that no runtime disturbs another.

    python -m emo_edge.tuning.trial TASK

TASK is JSON, the answer too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from emo_edge.errors import EmoError
from emo_edge.messages import say
from emo_edge.processes import module_command

LEAST_RUNS, MOST_RUNS = 5, 2000
WARM_UPS = 3
TRIAL_SECONDS = 60.0


def measured(task: dict[str, Any]) -> dict[str, Any]:
    """Return what a child process measured.

    Args:
        task: {"model", "backend", "threads", "seconds"} or {"detector", "smallest", "seconds"}.

    Returns:
        {"median_ms", "p90_ms", "runs"} and for a model {"runtime", "delegates"}; {"refused": why}
        if it could not be measured.
    """
    command = module_command("emo_edge.tuning.trial", json.dumps(task))
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TRIAL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return {"refused": f"no answer in {TRIAL_SECONDS:.0f} s"}
    if done.returncode < 0:
        return {"refused": f"crashed (signal {-done.returncode})"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"refused": lines[-1].removeprefix("error: ")}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main() -> None:
    """Do the task that the command line holds."""
    task = json.loads(sys.argv[1])
    try:
        answer = _detector(task) if "detector" in task else _model(task)
    except EmoError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    print(json.dumps(answer))


def _model(task: dict[str, Any]) -> dict[str, Any]:
    from emo_edge.classifier import Classifier

    classifier = Classifier(
        Path(task["model"]), backend=task["backend"], threads=task["threads"], contained=True
    )
    # Noise costs what faces cost: the work of a net does not depend on its input.
    faces = np.random.default_rng(0).integers(0, 256, (8, *classifier.spec.input_shape), np.uint8)
    times = _timed(lambda run: classifier.classify(faces[run % len(faces)]), task["seconds"])
    interpreter = classifier.interpreter
    return times | {
        "runtime": interpreter.backend.version,
        "delegates": interpreter.delegates(),
    }


def _detector(task: dict[str, Any]) -> dict[str, Any]:
    import cv2

    from emo_edge.detectors import make_detector

    find = make_detector(task["detector"], task["smallest"])
    # Soft blotches, which a cascade has to look at more than once, as at a room.
    coarse = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    picture = np.asarray(cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8)
    return _timed(lambda _: find(picture), task["seconds"])


def _timed(step: Callable[[int], object], seconds: float) -> dict[str, Any]:
    for run in range(WARM_UPS):
        step(run)
    times: list[int] = []
    began = now = time.perf_counter_ns()
    while len(times) < LEAST_RUNS or (now - began < seconds * 1e9 and len(times) < MOST_RUNS):
        before = time.perf_counter_ns()
        step(len(times))
        now = time.perf_counter_ns()
        times.append(now - before)
    median, p90 = np.percentile(times, (50, 90)) / 1e6
    return {"median_ms": float(median), "p90_ms": float(p90), "runs": len(times)}


if __name__ == "__main__":
    main()
