"""Staged unfreezing: weights that were learnt elsewhere are woken from the head backwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import keras

from emo_train.models.cost import flat_layers
from emo_train.models.weights import NONE
from emo_train.recipe import Recipe

TAIL_SHARE = 1 / 3  # of the layers with weights

Awake = Literal["head", "tail", "all"]


@dataclass(frozen=True)
class Stage:
    """Some epochs with an optimizer of their own.

    Attributes:
        first, end: Epochs, the end not included.
        rate: Peak learning rate.
        awake: What is trained: the last layer, the last third of the layers, or all.
    """

    first: int
    end: int
    rate: float
    awake: Awake


def stages(recipe: Recipe) -> tuple[Stage, ...]:
    """Return the stages of a training, one after another, none empty.

    A net that starts from random weights has one. Otherwise the new head is trained first, then the
    last third of the layers with it, then everything, each at `unfreeze_rate` of the rate before.
    A head that was kept is not new.
    """
    if recipe.weights == NONE:
        return (Stage(0, recipe.epochs, recipe.learning_rate, "all"),)
    alone = 0.0 if recipe.keep_head else recipe.head_share
    head = min(recipe.epochs - 1, round(alone * recipe.epochs))
    tail = min(recipe.epochs - 1, head + round(recipe.tail_share * recipe.epochs))
    planned: tuple[tuple[int, int, Awake], ...] = (
        (0, head, "head"),
        (head, tail, "tail"),
        (tail, recipe.epochs, "all"),
    )
    found: list[Stage] = []
    for first, end, awake in planned:
        if end > first:
            rate = recipe.learning_rate * recipe.unfreeze_rate ** len(found)
            found.append(Stage(first, end, rate, awake))
    return tuple(found)


def stage_of(plan: tuple[Stage, ...], epoch: int) -> Stage:
    """Return the stage that trains an epoch (the last one for those beyond the end)."""
    return next((stage for stage in plan if epoch < stage.end), plan[-1])


def wake(model: keras.Model, awake: Awake, frozen_share: float) -> None:
    """Freeze all layers but those of a stage. Frozen batch norm keeps its statistics, too.

    Args:
        model: Of which.
        awake: The stage.
        frozen_share: Of the layers, the first ones, which no stage trains.
    """
    weighted = [layer for layer in flat_layers(model) if layer.weights]
    most = max(1, len(weighted) - round(len(weighted) * frozen_share))
    count = {"head": 1, "tail": max(1, round(len(weighted) * TAIL_SHARE)), "all": len(weighted)}
    for place, layer in enumerate(reversed(weighted)):
        layer.trainable = place < min(count[awake], most)
