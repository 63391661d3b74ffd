"""A run made of others: the mean of their weights, more often right than each at the cost of one.

It helps where one run went on from another: both ends then lie in one valley of the loss (Wortsman
et al. 2022, "Model soups"). Runs that began apart have nothing in common to average, which the
score of the mean shows.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from emo_edge.errors import DataError, UsageError
from emo_edge.messages import say
from emo_edge.runfolder import HISTORY, METRICS, MODEL, SPEC
from emo_edge.spec import ModelSpec
from emo_train.data import Dataset
from emo_train.interrupts import remembered_interrupts
from emo_train.loading import finished_config, load_dataset, load_model
from emo_train.recipe import Recipe
from emo_train.run import begin, finish, plot_samples


def average(runs: Sequence[Path], out: Path, data: Path | None = None) -> dict[str, Any]:
    """Write the mean of finished runs as a finished run, and return its metrics.

    Batch-norm statistics are averaged like all weights; the temperature is fitted anew. Recipe and
    history are those of the last run.

    Args:
        runs: Folders of one architecture; they may have learned from different faces, but none from
            what scores another.
        out: The new run folder.
        data: Where the data of the last is now, if it has moved.

    Raises `UsageError` for runs that do not fit each other, `DataError` for what is no finished run
    or for faces that changed.
    """
    configs = [finished_config(run) for run in runs]
    config = {**configs[-1], "averaged": [str(run.resolve()) for run in runs]}
    if data:
        config["data"] = str(data.resolve())
    dataset = load_dataset(config)
    for run, other in zip(runs[:-1], configs[:-1], strict=True):
        if other["fingerprint"] != config["fingerprint"]:
            _require_held_out(run, other, dataset, runs[-1])
    model = _mean(runs)
    notes = {"averaged": [run.resolve().name for run in runs]}
    last = json.loads((runs[-1] / METRICS).read_text(encoding="utf-8"))["training"]
    if "teachers" in last:
        notes["teachers"] = last["teachers"]
    with remembered_interrupts() as check:
        begin(out, config, dataset.fingerprint())
        plot_samples(out, dataset, Recipe.from_json(config["recipe"]))
        shutil.copyfile(runs[-1] / HISTORY, out / HISTORY)
        return finish(out, config, dataset, model, check, notes)


def _require_held_out(run: Path, config: Mapping[str, Any], judging: Dataset, of: Path) -> None:
    """Raise `DataError` unless a run that learned from other faces held out the same."""
    own = load_dataset(config)
    if own.fingerprint() != config["fingerprint"]:
        raise DataError(f"the pictures in {config['data']} changed since {run} learned from them")
    if own.fingerprint(held_out=True) != judging.fingerprint(held_out=True):
        raise DataError(
            f"{run} and {of} did not hold out the same faces: one may have learned what would "
            "score the mean"
        )


def _mean(runs: Sequence[Path]) -> keras.Model:
    """Return a model of the mean weights."""
    specs = [ModelSpec.from_json((run / SPEC).read_bytes()) for run in runs]
    models = [load_model(run / MODEL) for run in runs]
    weights = [model.get_weights() for model in models]
    for run, spec, own in zip(runs, specs, weights, strict=True):
        alike = [w.shape for w in own] == [w.shape for w in weights[0]]
        if not alike or (spec.labels, spec.colour) != (specs[0].labels, specs[0].colour):
            raise UsageError(f"{run} and {runs[0]} differ in layers, classes or colour")
    say(f"averaging the weights of {len(runs)} runs")
    models[0].set_weights([np.mean(same, axis=0) for same in zip(*weights, strict=True)])
    return models[0]
