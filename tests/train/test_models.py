from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from emo_edge.errors import UsageError
from emo_train.models import ARCHITECTURES, build_model, count_macs

GREY, COLOUR = (48, 48, 1), (96, 96, 3)


@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("shape", [GREY, COLOUR], ids=str)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_maps_pixels_to_one_logit_a_class(
    name: str, shape: tuple[int, int, int], classes: int
) -> None:
    model = build_model(name, shape, classes, dropout=0.2)
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, classes)


def test_raw_pixels_are_scaled_inside_and_logits_come_out() -> None:
    model = build_model("micro", GREY, 2, dropout=0.0)
    pixels = np.random.default_rng(0).integers(0, 256, (4, *GREY)).astype(np.float32)
    np.testing.assert_allclose(
        model.get_layer("rescale")(np.array([0.0, 128.0, 255.0])), [-1, 0, 127 / 128]
    )
    before, lift = model.predict(pixels, verbose=0), np.array([5, -3], np.float32)
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel, bias + lift])
    np.testing.assert_allclose(model.predict(pixels, verbose=0), before + lift, atol=1e-4)


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
        (one_layer(layers.Dense(5), 7), 35),
        (one_layer(layers.ReLU(), 8, 8, 2), 0),
    ],
    ids=["same", "valid", "strides", "oblong kernel", "groups", "dense", "relu"],
)
def test_multiply_accumulates_are_those_counted_by_hand(model: keras.Model, macs: int) -> None:
    assert count_macs(model) == macs


@pytest.mark.parametrize(("name", "budget"), [("micro", 8.5e6), ("small", 30e6), ("base", 60e6)])
def test_an_architecture_keeps_its_budget(name: str, budget: float) -> None:
    assert 0 < count_macs(build_model(name, GREY, 8, dropout=0.0)) <= budget
