"""The search: in the order of what it may gain, until it is done or its time is spent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from emo_edge.backends import BACKENDS, find_backend
from emo_edge.tuning.trial import measured
from emo_edge.tuning.variants import Variant

SECONDS_EACH = 0.7
# What is kept because it is there must be beaten by more than noise, and another thread, which
# other programs will miss, by more than that.
NOISE, WORTH_A_THREAD = 0.95, 0.8

Measure = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Trial:
    """One combination and how it did.

    Attributes:
        variant: The model file.
        backend: Name of the runtime.
        threads: Its threads.
        median_ms, p90_ms: Milliseconds of one face; None if it was refused.
        runtime: Name and version of the runtime.
        delegates: Pieces of the model inside a delegate.
        refused: Why it could not be measured, else empty.
    """

    variant: Variant
    backend: str
    threads: int
    median_ms: float | None = None
    p90_ms: float | None = None
    runtime: str = ""
    delegates: int = 0
    refused: str = ""

    @property
    def task(self) -> dict[str, Any]:
        """Return what `measured` is to do."""
        return {"model": str(self.variant.path), "backend": self.backend, "threads": self.threads}


def search(
    variants: Sequence[Variant],
    *,
    in_time: Callable[[], bool],
    measure: Measure = measured,
) -> Iterator[Trial]:
    """Yield a trial of each variant on each runtime, then of the best with more threads.

    The first is what would run without any tuning.

    Args:
        variants: From `variants_of`.
        in_time: Whether another trial may begin; the first does in any case.
        measure: Measures one combination.
    """
    single = [Trial(variant, name, 1) for name in _backends() for variant in variants]
    done = []
    for number, trial in enumerate(single):
        if number and not in_time():
            return
        done.append(_tried(trial, measure))
        yield done[-1]
    best, cpus = winner(done), os.cpu_count() or 1
    for threads in (2, 4):
        if best is None or threads > cpus or not in_time():
            return
        yield _tried(Trial(best.variant, best.backend, threads), measure)


def winner(trials: Sequence[Trial]) -> Trial | None:
    """Return the best trial; None if nothing ran at all."""
    best: Trial | None = None
    for trial in trials:
        if trial.median_ms is not None and (best is None or _beats(trial, best)):
            best = trial
    return best


def _beats(trial: Trial, best: Trial) -> bool:
    assert trial.median_ms is not None and best.median_ms is not None
    least = WORTH_A_THREAD if trial.threads > best.threads else NOISE
    return trial.median_ms < best.median_ms * least


def _backends() -> list[str]:
    """Return the runtimes to try; TensorFlow's only where there is no other."""
    light = [b.name for b in BACKENDS.values() if b.installed and b.name != "tensorflow"]
    return light or [find_backend().name]


def _tried(trial: Trial, measure: Measure) -> Trial:
    answer = measure(trial.task | {"seconds": SECONDS_EACH})
    answer.pop("runs", None)
    return Trial(**{**_fields(trial), **answer})


def _fields(trial: Trial) -> dict[str, Any]:
    return {**asdict(trial), "variant": trial.variant}
