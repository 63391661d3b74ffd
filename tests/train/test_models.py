from __future__ import annotations

import os
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from emo_edge.errors import DataError, UsageError
from emo_train.cli import app
from emo_train.models import architecture_names, build_model, resolve_weights
from emo_train.models.cost import count_macs
from running import assert_done, assert_refused, call

GREY, COLOUR = (48, 48, 1), (96, 96, 3)


FAST = ("plain-micro", "micro", "small", "base", "mobilenet-small", "mobilenet-base", "classic")


@pytest.mark.parametrize("shape", [GREY, (256, 256, 3), (8, 8, 1)], ids=str)
@pytest.mark.parametrize("name", FAST)
def test_every_architecture_maps_pixels_to_one_logit_a_class(
    name: str, shape: tuple[int, int, int]
) -> None:
    model = build_model(name, shape, 3, dropout=0.2)
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, 3)
    assert model.count_params() < 7e6


def test_raw_pixels_are_scaled_inside_and_logits_come_out() -> None:
    model = build_model("plain-micro", GREY, 2, dropout=0.0)
    pixels = np.random.default_rng(0).integers(0, 256, (4, *GREY)).astype(np.float32)
    np.testing.assert_allclose(
        model.get_layer("rescale")(np.array([0.0, 128.0, 255.0])), [-1, 0, 127 / 128]
    )
    before, lift = model.predict(pixels, verbose=0), np.array([5, -3], np.float32)
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel, bias + lift])
    np.testing.assert_allclose(model.predict(pixels, verbose=0), before + lift, atol=1e-4)


@pytest.mark.parametrize("shape", [GREY, (256, 256, 3)], ids=str)
def test_a_transfer_net_sees_pixels_as_it_did_in_its_training(
    shape: tuple[int, int, int],
) -> None:
    model = build_model("mobilenetv2", shape, 7, dropout=0.0)
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, 7)
    stem = model.get_layer("Conv1").input
    seen = keras.Model(model.inputs, stem)
    assert stem.shape[1] >= 96
    values = seen.predict(np.full((1, *shape), 255.0, np.float32), verbose=0)
    np.testing.assert_allclose(values, 1.0)


def test_imagenet_weights_that_cannot_be_fetched_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("socket.getaddrinfo", no_network)
    with pytest.raises(UsageError, match=r"vgg16 cannot be fetched.*--weights FILE"):
        build_model("vgg16", COLOUR, 7, dropout=0.0, weights="imagenet")


def no_network(*_: object, **__: object) -> None:
    raise OSError("no network")


def test_weights_are_taken_from_a_model_with_other_classes(tmp_path: Path) -> None:
    source = build_model("plain-micro", GREY, 2, dropout=0.0)
    source.save(tmp_path / "model.keras")
    for weights in (tmp_path, tmp_path / "model.keras"):
        model = build_model("plain-micro", GREY, 7, dropout=0.0, weights=str(weights))
        pairs = zip(model.layers[:-1], source.layers[:-1], strict=True)
        for mine, theirs in pairs:
            for ours, other in zip(mine.get_weights(), theirs.get_weights(), strict=True):
                np.testing.assert_array_equal(ours, other)


def test_the_last_layer_is_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    source = build_model("plain-micro", GREY, 3, dropout=0.0)
    source.save(tmp_path / "model.keras")
    start = {"dropout": 0.0, "weights": str(tmp_path), "keep_head": True}
    kept = build_model("plain-micro", GREY, 3, **start)
    for ours, theirs in zip(kept.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(UsageError, match="knows other classes: leave --keep-head away"):
        build_model("plain-micro", GREY, 2, **start)
    wider = build_model("plain-micro", GREY, 3, **start, beside=4)
    answers = wider(np.full((1, *GREY), 99, np.float32), training=False)
    np.testing.assert_array_equal(answers[:, 3:], 0)
    expected = source(np.full((1, *GREY), 99, np.float32), training=False)
    np.testing.assert_allclose(answers[:, :3], expected, rtol=1e-6)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    build_model("plain-micro", GREY, 2, dropout=0.0).save(tmp_path / "plain.keras")
    (tmp_path / "broken.keras").write_bytes(b"no model")
    with pytest.raises(UsageError, match="are not those of small"):
        build_model("small", GREY, 2, 0.0, weights=str(tmp_path / "plain.keras"))
    with pytest.raises(UsageError, match=r"no such file.*auto, none, imagenet"):
        build_model("plain-micro", GREY, 2, 0.0, weights="imagnet")
    with pytest.raises(DataError, match="is not a Keras model"):
        build_model("plain-micro", GREY, 2, 0.0, weights=str(tmp_path / "broken.keras"))


def test_automatic_weights_are_those_that_an_architecture_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.keras").touch()
    assert resolve_weights("resnet50", "auto") == "imagenet"
    assert resolve_weights("small", "auto") == "none"
    assert resolve_weights("small", "a.keras") == "a.keras"
    with pytest.raises(UsageError, match="no such file"):
        resolve_weights("small", "b.keras")
    with pytest.raises(UsageError, match=r"small has no ImageNet weights.*mobilenetv2"):
        resolve_weights("small", "imagenet")


OWN = """
import keras
from keras import layers

def net(shape, classes, last=None, extra=None):
    inputs = keras.Input(shape)
    x = layers.Rescaling(1 / 255)(inputs)
    if extra is not None:
        x = extra(x)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(x))
    return keras.Model(inputs, layers.Dense(classes, activation=last)(x))

class Mine(layers.Layer):
    def call(self, x):
        return x

def good(shape, classes):
    return net(shape, classes)

def nothing(shape, classes):
    pass

def fixed(shape, classes):
    return net((32, 32, 3), classes)

def binary(shape, classes):
    return net(shape, 1)

def softmax(shape, classes):
    return net(shape, classes, "softmax")

def foreign(shape, classes):
    return net(shape, classes, extra=Mine())

def function(shape, classes):
    return net(shape, classes, extra=layers.Lambda(lambda x: x))

def greedy(shape):
    pass
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_nets_{os.getpid()}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_function_of_the_users_own_is_an_architecture(own: str) -> None:
    model = build_model(f"{own}:good", GREY, 7, dropout=0.0)
    assert (model.input_shape, model.output_shape) == ((None, *GREY), (None, 7))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("absent", "cannot import"),
        ("nothing", "must return a Keras model"),
        ("fixed", r"must take \(48, 48, 1\) pixels"),
        ("binary", "must give 7 logits"),
        ("softmax", "take the activation off"),
        ("foreign", "layers that the converter cannot load: Mine"),
        ("function", "layers that the converter cannot load: Lambda"),
        ("greedy", r"must take \(input_shape, classes\)"),
    ],
)
def test_a_function_that_breaks_the_contract_is_refused(
    own: str, function: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build_model(f"{own}:{function}", GREY, 7, dropout=0.0)


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"cannot import nowhere\.at_all:net"):
        build_model("nowhere.at_all:net", GREY, 7, dropout=0.0)


def test_the_list_of_models_says_what_each_costs(own: str) -> None:
    outcome = call(app, "models", "plain-micro", "--input-size", "64", "--colour", "rgb")
    assert_done(outcome)
    model = build_model("plain-micro", (64, 64, 3), 7, dropout=0.0)
    words = outcome.stdout.splitlines()[1].split()
    assert words[:3] == [
        "plain-micro",
        f"{model.count_params():,}",
        f"{count_macs(model) / 1e6:.1f}",
    ]
    assert_done(call(app, "models", f"{own}:good"))
    assert_refused(call(app, "models", "huge"), 2, "'huge'", ", ".join(architecture_names()))


def test_an_unknown_architecture_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"unknown architecture 'huge'.* micro, small, base"):
        build_model("huge", GREY, 2, dropout=0.0)


def one_layer(layer: keras.layers.Layer, *shape: int) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


@pytest.mark.parametrize(
    ("model", "macs"),
    [
        # output height x width x filters x kernel x input channels
        (one_layer(layers.Conv2D(4, 3, padding="same"), 8, 8, 2), 8 * 8 * 4 * 3 * 3 * 2),
        (one_layer(layers.Conv2D(4, 3, padding="valid"), 8, 8, 2), 6 * 6 * 4 * 3 * 3 * 2),
        (one_layer(layers.Conv2D(4, 3, strides=2, padding="same"), 8, 8, 2), 4 * 4 * 4 * 9 * 2),
        (one_layer(layers.Conv2D(4, (5, 1), padding="same"), 8, 8, 2), 8 * 8 * 4 * 5 * 2),
        (one_layer(layers.Conv2D(4, 3, groups=2, padding="same"), 8, 8, 2), 8 * 8 * 4 * 9),
        (one_layer(layers.DepthwiseConv2D(3, padding="same"), 8, 8, 2), 8 * 8 * 2 * 9),
        (one_layer(layers.SeparableConv2D(4, 3, padding="same"), 8, 8, 2), 8 * 8 * 2 * (9 + 4)),
        (one_layer(one_layer(layers.Dense(5), 7), 7), 35),
        (one_layer(layers.Dense(5), 7), 35),
        (one_layer(layers.ReLU(), 8, 8, 2), 0),
    ],
    ids=[
        "same",
        "valid",
        "strides",
        "oblong kernel",
        "groups",
        "depthwise",
        "separable",
        "nested",
        "dense",
        "relu",
    ],
)
def test_multiply_accumulates_are_those_counted_by_hand(model: keras.Model, macs: int) -> None:
    assert count_macs(model) == macs


@pytest.mark.parametrize(
    ("name", "budget"), [("plain-micro", 8e6), ("micro", 8e6), ("small", 30e6), ("base", 60e6)]
)
def test_an_architecture_keeps_its_budget(name: str, budget: float) -> None:
    assert 0 < count_macs(build_model(name, GREY, 8, dropout=0.0)) <= budget
