"""The model of a recipe, and what each stage of its training makes of it."""

from __future__ import annotations

import dataclasses

import keras

from emo_train.data import Dataset
from emo_train.distillation import DistillationLoss
from emo_train.models import build_model
from emo_train.models.weights import NONE
from emo_train.optimizers import add_l2, make_optimizer
from emo_train.recipe import Recipe
from emo_train.scores import Scores
from emo_train.stages import Stage, wake


def build(dataset: Dataset, recipe: Recipe, weights: str, beside: int = 0) -> keras.Model:
    """Return the untrained model for these faces; it computes in the recipe's precision.

    `beside` are the outputs that it has beside its logits while it trains.
    """
    height, width, channels = dataset.splits["train"].pixels.shape[1:]
    shape, classes = (height, width, channels), len(dataset.labels)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.precision)
    try:
        return build_model(
            recipe.architecture, shape, classes, recipe.dropout, weights, recipe.keep_head, beside
        )
    finally:
        keras.config.set_dtype_policy(before)


def as_trained(model: keras.Model, dataset: Dataset, recipe: Recipe) -> keras.Model:
    """Return the model without what only its training needs, and no device should compute.

    That is the casts of mixed precision, and outputs beside the logits.
    """
    if recipe.precision == "float32" and model.output_shape[-1] == len(dataset.labels):
        return model
    plain = build(dataset, dataclasses.replace(recipe, precision="float32"), NONE)
    pairs = zip(plain.get_weights(), model.get_weights(), strict=True)
    plain.set_weights([value[..., : own.shape[-1]] if own.ndim else value for own, value in pairs])
    return plain


def compile_for(
    model: keras.Model, classes: int, recipe: Recipe, stage: Stage, steps: int, *, distil: bool
) -> None:
    """Choose what a stage trains, by which optimizer, for which loss.

    Args:
        model: Of `build`.
        classes: So many of its outputs, the first, are logits.
        recipe: How.
        stage: Which of its stages.
        steps: Of an epoch.
        distil: Whether targets hold a teacher's answers beside the labels.
    """
    if recipe.weights != NONE:
        wake(model, stage.awake, recipe.frozen_share)
    if recipe.l2:
        add_l2(model, recipe.l2)
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=recipe.label_smoothing
    )
    if distil:
        loss = DistillationLoss(
            classes,
            recipe.teacher_temperature,
            recipe.teacher_weight,
            recipe.label_smoothing,
            recipe.feature_weight,
        )
    optimizer = make_optimizer(recipe, stage.rate, steps * (stage.end - stage.first))
    model.compile(optimizer=optimizer, loss=loss, metrics=[Scores(classes, name="scores")])
