"""The net and the weights of the teacher that has seen other faces (`train/teachers`)."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest
import tensorflow as tf
import typer
from numpy.typing import NDArray

from emo_train.cli import app
from running import assert_done, call, draw_faces

NOT_WEIGHTS = '{"weightsManifest": [{"paths": [], "weights": [1]}]}'
Weights = dict[str, NDArray[np.float32]]


@pytest.fixture
def vggface2(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "train" / "teachers")
    return importlib.import_module("vggface2")


@pytest.fixture
def graph_model(tmp_path: Path, vggface2: ModuleType) -> Path:
    """A graph model as TensorFlow.js writes it, of this net, of other numbers."""
    return write_graph_model(tmp_path / "package", random_weights(vggface2.FILTERS))


def random_weights(filters: tuple[int, ...]) -> Weights:
    rng = np.random.default_rng(0)
    weights: Weights = {}

    def conv(name: str, *shape: int) -> None:
        spread = np.sqrt(2 / np.prod(shape[:3]))
        weights[f"{name}/convolution/merged_input"] = rng.normal(0, spread, shape)
        weights[f"{name}_bn/batchnorm_1/sub"] = rng.normal(0, 0.3, shape[-1])

    conv("conv1", 3, 3, 3, 32)
    weights["conv1/convolution/merged_input"] /= 50  # pixels are large
    before = 32
    for number, after in enumerate(filters, 1):
        name = f"conv_dw_{number}"
        weights[f"{name}/depthwise_kernel"] = rng.normal(0, 0.3, (3, 3, before, 1))
        weights[f"{name}_bn/batchnorm_1/mul"] = rng.uniform(0.5, 1.5, (1, 1, before))
        weights[f"{name}_bn/batchnorm_1/sub"] = rng.normal(0, 0.3, (1, 1, before))
        conv(f"conv_pw_{number}", 1, 1, before, after)
        before = after
    return {name: values.astype(np.float16).astype(np.float32) for name, values in weights.items()}


def write_graph_model(folder: Path, weights: Weights) -> Path:
    """Half of the weights as float16, in two files, as the package has them."""
    folder.mkdir()
    data, entries = b"", []
    for place, (name, values) in enumerate(weights.items()):
        entry = {"name": name, "shape": list(values.shape), "dtype": "float32"}
        if place % 2:
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        entries.append(entry)
        data += values.astype(np.float16 if place % 2 else np.float32).tobytes()
    (folder / "one.bin").write_bytes(data[:1001])
    (folder / "two.bin").write_bytes(data[1001:])
    manifest = [{"paths": ["one.bin", "two.bin"], "weights": entries}]
    (folder / "net.json").write_text(json.dumps({"weightsManifest": manifest}))
    return folder / "net.json"


def features(x: tf.Tensor, weights: Weights, filters: tuple[int, ...]) -> tf.Tensor:
    """The graph of the package in its own operators, from the enlarged grey faces on."""
    x = tf.repeat(x, 3, axis=3) - np.array([103.939, 116.779, 123.68], np.float32)
    x = tf.nn.conv2d(x, weights["conv1/convolution/merged_input"], 2, "SAME")
    x = tf.nn.relu6(x + weights["conv1_bn/batchnorm_1/sub"])
    for number in range(1, len(filters) + 1):
        stride = 2 if number in (2, 4, 6, 12) else 1
        name = f"conv_dw_{number}"
        kernel, norm = weights[f"{name}/depthwise_kernel"], f"{name}_bn/batchnorm_1"
        x = tf.nn.depthwise_conv2d(x, kernel, (1, stride, stride, 1), "SAME")
        x = tf.nn.relu6(x * weights[f"{norm}/mul"] + weights[f"{norm}/sub"])
        name = f"conv_pw_{number}"
        x = tf.nn.conv2d(x, weights[f"{name}/convolution/merged_input"], 1, "SAME")
        x = tf.nn.relu6(x + weights[f"{name}_bn/batchnorm_1/sub"])
    return tf.reduce_mean(x, (1, 2))


def test_the_net_computes_what_the_graph_of_the_package_does(
    vggface2: ModuleType, graph_model: Path
) -> None:
    weights = vggface2.read_graph_model(graph_model)
    model = vggface2.mobilenet((48, 48, 1), 2)
    vggface2.take_weights(model, weights)
    inside = keras.Model(model.input, [model.get_layer("clip").output, model.layers[-3].output])
    faces = np.random.default_rng(1).uniform(0, 255, (12, 48, 48, 1)).astype(np.float32)
    enlarged, ours = inside(faces, training=False)
    theirs = features(enlarged, weights, vggface2.FILTERS)
    assert np.std(theirs) > 0.01
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    # With statistics of its own it answers the same.
    vggface2.settle(model, faces)
    np.testing.assert_allclose(inside(faces, training=False)[1], theirs, atol=1e-3)
    vggface2.settle(model, np.full_like(faces, 201.3))  # a spread of nothing beside a large mean
    np.testing.assert_allclose(inside(faces, training=False)[1], theirs, atol=1e-3)
    means = [x.moving_mean for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert all(np.any(np.asarray(mean)) for mean in means)


def test_emo_train_goes_on_from_it(vggface2: ModuleType, graph_model: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("happy", "sad")):
        draw_faces(tmp_path / "data" / name, 8, seed=seed)
    weights = tmp_path / "net.keras"
    vggface2.main(graph_model, tmp_path / "data", weights)
    words = ["--architecture", "vggface2:mobilenet", "--weights", weights, "--epochs", "1"]
    assert_done(call(app, "--data", tmp_path / "data", *words, "--out", tmp_path / "run"))
    kept, given = (keras.saving.load_model(p) for p in (tmp_path / "run" / "model.keras", weights))
    np.testing.assert_allclose(
        kept.get_layer("conv_dw_1").get_weights()[0],
        given.get_layer("conv_dw_1").get_weights()[0],
        atol=0.05,
    )


@pytest.mark.parametrize(
    "text", ["", "{}", '{"weightsManifest": [{"paths": ["gone.bin"]}]}', NOT_WEIGHTS]
)
def test_what_is_no_graph_model_is_said(
    vggface2: ModuleType, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.json").write_text(text)
    with pytest.raises(typer.Exit) as refused:
        vggface2.main(tmp_path / "net.json", tmp_path, tmp_path / "out.keras")
    assert refused.value.exit_code == 3
    assert "is no TensorFlow.js graph model" in capsys.readouterr().err
    assert not (tmp_path / "out.keras").exists()


def test_weights_of_another_net_are_refused(
    vggface2: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_graph_model(tmp_path / "other", {"conv1": np.zeros(3, np.float32)})
    with pytest.raises(typer.Exit) as refused:
        vggface2.main(other, tmp_path, tmp_path / "out.keras")
    assert refused.value.exit_code == 3
    assert "not the weights of this MobileNet" in capsys.readouterr().err
