"""`emo-edge tune`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from emo_edge.cli.options import ModelOption
from emo_edge.commands import guarded
from emo_edge.errors import ModelError
from emo_edge.messages import say, warn
from emo_edge.shipped import DEFAULT, find_model

if TYPE_CHECKING:
    from emo_edge.tuning.search import Trial

BUSY = 0.5  # runnable processes per CPU


@guarded
def tune(
    model: ModelOption = DEFAULT,
    budget: Annotated[
        float, typer.Option(min=1, max=600, help="Seconds after which no trial is begun.")
    ] = 40.0,
) -> None:
    """Measure runtimes, model variants, threads and detectors on this board; remember the best.

    Variants are the .tflite files beside the model that were converted from the same Keras model
    and passed their parity gate; one that scores over a point less is left out.
    """
    from emo_edge.tuning.memory import remember
    from emo_edge.tuning.search import search, winner
    from emo_edge.tuning.variants import variants_of

    end = time.monotonic() + budget

    def in_time() -> bool:
        return time.monotonic() < end

    _warn_if_busy()
    named = find_model(model)
    variants = variants_of(named)
    print(f"{'model':<28} {'runtime':<24} threads  median ms     p90  delegated   top-1")
    trials = []
    for trial in search(variants, in_time=in_time):
        trials.append(trial)
        print(_row(trial), flush=True)
    _detectors(in_time)
    best = winner(trials)
    if best is None:
        raise ModelError(f"no runtime here runs {named}; see: emo-edge doctor --model {named}")
    file = remember(named, best)
    say(
        f"best: {best.variant.path.name} on {best.runtime}, {best.threads} thread(s), "
        f"{best.median_ms:.2f} ms a face; kept in {file}, used from now on unless you give "
        "--backend, --threads or --no-tuned"
    )


def _row(trial: Trial) -> str:
    runtime = trial.runtime or trial.backend
    start = f"{trial.variant.path.name:<28} {runtime:<24} {trial.threads:>7}"
    if trial.median_ms is None or trial.p90_ms is None:
        return f"{start}  refused: {trial.refused}"
    top1 = "-" if trial.variant.top1 is None else f"{trial.variant.top1:.1%}"
    return f"{start}  {trial.median_ms:>9.2f} {trial.p90_ms:>7.2f}  {trial.delegates:>9}  {top1:>6}"


def _detectors(in_time: Callable[[], bool]) -> None:
    """Show what a search for faces costs: a choice for people, since a cheaper one finds fewer."""
    from emo_edge.detectors import usable_detectors
    from emo_edge.tuning.search import SECONDS_EACH
    from emo_edge.tuning.trial import measured

    print(f"\n{'detector':<28} {'smallest face':<24} {'median ms a search, 640x480':>27}")
    for name in usable_detectors():
        for part in (16, 12, 8):
            if not in_time():
                say("the time is spent; --budget gives more")
                return
            task = {"detector": name, "smallest": 1 / part, "seconds": SECONDS_EACH / 2}
            answer = measured(task)
            cost = answer.get("refused") or f"{answer['median_ms']:.1f}"
            print(f"{name:<28} {f'1/{part} of the picture':<24} {cost:>27}", flush=True)


def _warn_if_busy() -> None:
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    if load > BUSY:
        warn(f"the machine is busy (load {load:.1f} per CPU): tune again when it is not")
