"""What a recipe changes in a training, on noise that a net can learn by heart."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from emo_edge.faces import Faces, one_hot
from emo_train.averaging import Averaged, measure_statistics
from emo_train.callbacks import Backup, KeepBest, best_epoch, write_history
from emo_train.compiling import as_trained, build
from emo_train.data import Dataset
from emo_train.distillation import standardized
from emo_train.mixing import balanced, mixup, weigh
from emo_train.models import build_model
from emo_train.optimizers import add_l2, make_optimizer, rate_on_plateau
from emo_train.recipe import Augmentation, Recipe
from emo_train.stages import Stage, stage_of, stages, wake
from emo_train.teachers import Identity, Teacher
from emo_train.trainer import fit

SIDE = 12
STILL = Augmentation(False, *[0.0] * 9)


def faces(count: int, seed: int) -> Faces:
    """Return noise of two classes, one darker than the other."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 2
    pixels = rng.integers(0, 160, (count, SIDE, SIDE, 1)) + 90 * truth[:, None, None, None]
    names = tuple(f"{seed}-{i}" for i in range(count))
    return Faces(pixels.astype(np.uint8), one_hot(truth, 2), names)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return Dataset(("dark", "light"), {"train": faces(24, 0), "validation": faces(8, 1)})


def weights_of(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(weights) for weights in model.get_weights()]


TINY = """
import keras
from keras import layers

def net(shape, classes):
    inputs = x = keras.Input(shape)
    x = layers.Rescaling(1 / 128, offset=-1)(x)
    for filters in (4, 8):
        x = layers.Conv2D(filters, 3, 2)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x))
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Return a recipe with a net that compiles fast."""
    module = f"tiny_net_{os.getpid()}"
    (tmp_path / f"{module}.py").write_text(TINY)
    monkeypatch.syspath_prepend(str(tmp_path))
    recipe = Recipe(architecture=f"{module}:net", weights="none")
    return replace(recipe, learning_rate=0.02, batch_size=8, epochs=4)


def test_of_epochs_with_the_same_score_the_one_with_the_lowest_loss_is_kept(tmp_path: Path) -> None:
    history, best = tmp_path / "history.csv", tmp_path / "best.keras"
    keep = KeepBest(best, history, "val_accuracy", patience=2)
    keep.set_model(keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)]))
    scores = [(0.5, 0.9), (0.7, 0.8), (0.7, 0.6), (0.7, 0.7), (0.6, 0.1)]
    epochs: list[dict[str, float]] = []
    for epoch, (accuracy, loss) in enumerate(scores):
        assert not keep.has_ended()
        epochs.append({"epoch": epoch, "loss": 1.0, "val_accuracy": accuracy, "val_loss": loss})
        write_history(history, epochs)
        keep.model.set_weights([np.full((1, 1), epoch)])
        keep.on_epoch_end(epoch)
    assert keep.has_ended()
    (kept,) = weights_of(keras.saving.load_model(best))
    assert kept.item() == best_epoch(epochs, "val_accuracy") == 2


class PowerCutError(Exception):
    pass


def test_a_training_with_everything_is_resumed_in_any_stage(
    tmp_path: Path, dataset: Dataset, small: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_model(small.architecture, (SIDE, SIDE, 1), 5, dropout=0.0).save(tmp_path / "start.keras")
    recipe = replace(
        small, weights=str(tmp_path / "start.keras"), head_share=0.25, tail_share=0.25,
        frozen_share=0.3,
        optimizer="adamw", schedule="plateau", plateau_patience=1, l2=1e-4,
        class_weights="balanced", mixup=0.2, ema=0.5, feature_weight=0.5,
    )  # fmt: skip
    taught = teacher(dataset.splits["train"])
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    model = fit(whole, dataset, recipe, taught)
    assert model.output_shape == (None, 2)
    save = Backup.on_epoch_end

    def fail(self: Backup, epoch: int, logs: object = None) -> None:
        save(self, epoch)
        raise PowerCutError

    for _ in range(recipe.epochs - 1):  # in the middle and at the end of stages
        monkeypatch.setattr(Backup, "on_epoch_end", fail)
        with pytest.raises(PowerCutError):
            fit(cut, dataset, recipe, taught)
    monkeypatch.setattr(Backup, "on_epoch_end", save)
    resumed = fit(cut, dataset, recipe, taught)
    assert (cut / "history.csv").read_text() == (whole / "history.csv").read_text()
    for ours, theirs in zip(weights_of(resumed), weights_of(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_features_teach_what_the_labels_do_not(
    tmp_path: Path, dataset: Dataset, small: Recipe
) -> None:
    taught = teacher(dataset.splits["train"])  # the brightness of a face, which two labels blur
    recipe = replace(small, epochs=20, teacher_weight=0.0, dropout=0.0, augmentation=STILL)
    told = []
    for weight in (0.0, 3.0):
        net = fit(tmp_path / f"{weight}", dataset, replace(recipe, feature_weight=weight), taught)
        assert net.output_shape == (None, 2)
        inside = keras.Model(net.inputs, net.layers[-1].input)
        told.append(_read_from(inside, dataset.splits["train"], taught))
    assert told[1] > told[0]


def _read_from(inside: keras.Model, train: Faces, taught: Teacher) -> float:
    """Return how much of the features' variance a linear layer reads from a net."""
    assert taught.features is not None
    seen = inside.predict(train.pixels, verbose=0)
    known = np.column_stack([seen, np.ones(len(seen))])
    wanted = standardized(taught.features)
    read = known @ np.linalg.lstsq(known, wanted, rcond=None)[0]
    return float(1 - ((read - wanted) ** 2).mean())


def teacher(train: Faces) -> Teacher:
    """Return one whose features are the mean and the spread of a face."""
    flat = train.pixels.reshape(len(train), -1).astype(np.float32)
    features = np.stack([flat.mean(axis=1), flat.std(axis=1)], axis=1)
    return Teacher(np.log(train.targets + 0.1), ("a", "b"), Identity.of(train), ("t",), features)


def test_mixed_precision_leaves_a_model_without_it(dataset: Dataset, small: Recipe) -> None:
    recipe = replace(small, precision="mixed_bfloat16")
    mixed = build(dataset, recipe, "none")
    assert mixed.get_layer("logits").compute_dtype == "bfloat16"
    plain = as_trained(mixed, dataset, recipe)
    assert {layer.compute_dtype for layer in plain.layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    for ours, theirs in zip(weights_of(plain), weights_of(mixed), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_average_is_what_is_validated_and_kept(dataset: Dataset, small: Recipe) -> None:
    model = build_model(small.architecture, (SIDE, SIDE, 1), 2, dropout=0.0)
    optimizer = make_optimizer(replace(small, ema=0.9), 0.05, 100)
    model.compile(optimizer=optimizer, loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    train, validation = (dataset.splits[name] for name in ("train", "validation"))
    kept: dict[str, list[np.ndarray]] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda *_: kept.update({name: weights_of(model)})

    model.fit(
        train.pixels, train.targets, batch_size=8, epochs=1, verbose=0,
        validation_data=(validation.pixels, validation.targets),
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_end=keep("average")),
            Averaged(train.pixels),
            keras.callbacks.LambdaCallback(on_epoch_end=keep("own")),
        ],
    )  # fmt: skip
    for own, now in zip(kept["own"], weights_of(model), strict=True):
        np.testing.assert_array_equal(own, now)
    optimizer.finalize_variable_values(model.trainable_variables)
    places = [i for i, variable in enumerate(model.weights) if variable.trainable]
    for place in places:
        np.testing.assert_array_equal(kept["average"][place], weights_of(model)[place])
    assert any(not np.allclose(a, b) for a, b in zip(kept["own"], kept["average"], strict=True))


def test_statistics_are_those_of_the_faces() -> None:
    pixels = faces(300, 3).pixels
    inputs = keras.Input((SIDE, SIDE, 1))
    norm = layers.BatchNormalization()
    model = keras.Model(inputs, norm(inputs))
    measure_statistics(model, pixels)
    np.testing.assert_allclose(np.asarray(norm.moving_mean), pixels.mean(), rtol=1e-3)
    np.testing.assert_allclose(np.asarray(norm.moving_variance), pixels.var(), rtol=1e-2)
    assert norm.momentum == 0.99
    norm.trainable = False
    measure_statistics(model, pixels // 2)
    np.testing.assert_allclose(np.asarray(norm.moving_mean), pixels.mean(), rtol=1e-3)


@pytest.mark.parametrize(
    ("losses", "rate"),
    [
        ([], 1 / 3),
        ([3.0], 2 / 3),
        ([3.0, 2.0], 1.0),
        ([3.0, 2.0, 2.0], 1.0),
        ([3.0, 2.0, 2.0, 2.1], 0.3),
        ([3.0, 2.0, 2.0, 2.1, 1.9, 2.0], 0.3),
        ([3.0, 2.0, 2.0, 2.1, 1.9, 2.0, 2.0], 0.09),
    ],
)
def test_the_rate_falls_where_the_loss_stays(losses: list[float], rate: float) -> None:
    assert rate_on_plateau(losses, 1.0, rising=2, patience=2) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("name", "kind", "decays"),
    [
        ("sgd", keras.optimizers.SGD, True),
        ("adam", keras.optimizers.Adam, False),
        ("adamw", keras.optimizers.AdamW, True),
    ],
)
def test_the_optimizer_is_the_one_asked_for(name: str, kind: type, decays: bool) -> None:
    optimizer = make_optimizer(Recipe(optimizer=name, weight_decay=0.1), 0.5, 100)
    assert type(optimizer) is kind
    assert (optimizer.weight_decay == 0.1) == decays
    schedule = optimizer.get_config()["learning_rate"]["config"]
    assert (schedule["warmup_target"], schedule["warmup_steps"]) == (0.5, 5)


@pytest.mark.parametrize(("schedule", "last"), [("cosine", 0.0), ("constant", 0.5)])
def test_the_rate_rises_to_its_peak_and_ends_where_the_schedule_says(
    schedule: str, last: float
) -> None:
    optimizer = make_optimizer(Recipe(schedule=schedule), 0.5, 100)
    rates = optimizer.get_config()["learning_rate"]
    rate = keras.optimizers.schedules.deserialize(rates)
    assert [float(rate(step)) for step in (0, 5, 100)] == pytest.approx([0.0, 0.5, last])


def test_l2_is_in_the_loss_and_not_in_the_saved_model(tmp_path: Path) -> None:
    model = build_model("plain-micro", (SIDE, SIDE, 1), 2, dropout=0.0)
    add_l2(model, 0.5)
    kernels = [w for w in model.trainable_variables if w.name == "kernel"]
    expected = 0.5 * sum(float((np.asarray(kernel) ** 2).sum()) for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)
    model.save(tmp_path / "model.keras")
    assert not keras.saving.load_model(tmp_path / "model.keras").losses


def test_mixup_blends_faces_and_targets_alike() -> None:
    images = np.arange(6, dtype=np.float32).reshape(6, 1, 1, 1) * np.ones((1, 4, 4, 1), np.float32)
    targets = np.eye(6, dtype=np.float32)
    mixed, labels = (np.asarray(part) for part in mixup(images, targets, 1.0, np.int32(7)))
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(mixed[:, 0, 0, 0], labels @ np.arange(6), rtol=1e-5)
    assert (labels.argmax(axis=1) == np.arange(6)).all()
    assert (labels.max(axis=1) < 1).any()
    again = np.asarray(mixup(images, targets, 1.0, np.int32(7))[1])
    other = np.asarray(mixup(images, targets, 1.0, np.int32(8))[1])
    np.testing.assert_array_equal(again, labels)
    assert not np.allclose(other, labels)


def test_balanced_classes_count_alike() -> None:
    targets = one_hot(np.array([0, 0, 0, 0, 0, 0, 1, 1]), 3)
    weights = balanced(targets)
    each = np.asarray(weigh(targets, weights))
    assert weights[2] == 0
    assert each.mean() == pytest.approx(1)
    assert each[:6].sum() == pytest.approx(each[6:].sum())
    wide = np.concatenate([targets, targets], axis=1)
    np.testing.assert_array_equal(np.asarray(weigh(wide, weights)), each)


@pytest.mark.parametrize(
    ("changes", "plan"),
    [
        ({"weights": "none"}, [Stage(0, 10, 1.0, "all")]),
        (
            {"weights": "imagenet"},
            [Stage(0, 1, 1.0, "head"), Stage(1, 4, 0.1, "tail"), Stage(4, 10, 0.01, "all")],
        ),
        ({"weights": "a.keras", "head_share": 0, "tail_share": 0}, [Stage(0, 10, 1.0, "all")]),
        (
            {"weights": "a.keras", "head_share": 0, "unfreeze_rate": 0.5},
            [Stage(0, 3, 1.0, "tail"), Stage(3, 10, 0.5, "all")],
        ),
        (
            {"weights": "a.keras", "head_share": 1, "tail_share": 1},
            [Stage(0, 9, 1.0, "head"), Stage(9, 10, 0.1, "all")],
        ),
        (
            {"weights": "a.keras", "keep_head": True},
            [Stage(0, 3, 1.0, "tail"), Stage(3, 10, 0.1, "all")],
        ),
    ],
)
def test_weights_from_elsewhere_are_woken_from_the_head_backwards(
    changes: dict[str, object], plan: list[Stage]
) -> None:
    recipe = replace(Recipe(), epochs=10, learning_rate=1.0, **changes)  # type: ignore[arg-type]
    found = stages(recipe)
    rounded = [replace(stage, rate=round(stage.rate, 9)) for stage in found]
    assert rounded == plan
    assert [stage_of(found, epoch) for epoch in (0, 9, 10)] == [found[0], found[-1], found[-1]]


def test_a_stage_trains_its_part_of_the_net_alone() -> None:
    model = build_model("plain-micro", (SIDE, SIDE, 1), 2, dropout=0.0)
    everything = len(model.trainable_variables)
    wake(model, "head", 0.0)
    head = {variable.path for variable in model.trainable_variables}
    assert head == {variable.path for variable in model.get_layer("logits").trainable_variables}
    wake(model, "tail", 0.0)
    tail = {variable.path for variable in model.trainable_variables}
    assert head < tail
    assert len(tail) < everything / 2
    wake(model, "all", 0.0)
    assert len(model.trainable_variables) == everything


def test_the_first_layers_stay_asleep_in_every_stage() -> None:
    model = build_model("plain-micro", (SIDE, SIDE, 1), 2, dropout=0.0)
    layers = [layer for layer in model.layers if layer.weights]
    for awake, share in (("all", 0.3), ("tail", 0.3), ("tail", 0.9), ("head", 0.9)):
        wake(model, awake, share)
        sleeping = [layer for layer in layers if not layer.trainable]
        assert sleeping == layers[: len(sleeping)]
        assert len(sleeping) >= round(share * len(layers))
        assert layers[-1].trainable
