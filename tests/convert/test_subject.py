"""Keras models that emo-train did not make: .keras, .h5, SavedModel, with faces beside them."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from emo_convert.heads import without_softmax
from emo_convert.repair.fold import fold_batch_norm
from emo_convert.subject import Options, load_subject, taking_raw_pixels
from emo_edge.errors import DataError, EmoError, ModelError, UsageError
from emo_edge.spec import ModelSpec
from running import ASSETS, draw_faces

LABELS = ("happy", "sad", "neutral")


def a_net(*, softmax: bool = True, size: int | None = 32) -> keras.Model:
    """Return a small net that takes colour faces scaled to [-1, 1]."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    activation = "softmax" if softmax else None
    return keras.Model(inputs, keras.layers.Dense(len(LABELS), activation=activation)(x))


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(LABELS))
    return path


@pytest.fixture
def options(tmp_path: Path, labels: Path) -> Options:
    draw_faces(tmp_path / "train" / "happy", 6, seed=1, colour=True)
    draw_faces(tmp_path / "train" / "sad", 6, seed=2, colour=True)
    draw_faces(tmp_path / "test" / "happy", 4, seed=3, colour=True)
    return Options(
        labels=labels,
        input_range=(-1.0, 1.0),
        calibration=str(tmp_path / "train"),
        evaluation=tmp_path / "test",
    )


def saved(model: keras.Model, path: Path) -> Path:
    if path.suffix:
        model.save(path)
    else:
        model.export(path, verbose=False)
    return path


@pytest.mark.parametrize("name", ["net.keras", "net.h5", "net"])
def test_a_model_takes_raw_pixels_whatever_it_was_trained_on(
    tmp_path: Path, options: Options, name: str
) -> None:
    net = a_net()
    subject = load_subject(saved(net, tmp_path / name), options)
    faces = subject.evaluation.pixels
    assert (subject.spec.labels, subject.spec.colour, subject.spec.output) == (
        LABELS,
        "rgb",
        "probabilities",
    )
    expected = net.predict(faces / 127.5 - 1.0, verbose=0)
    answers = subject.model.predict(faces.astype(np.float32), verbose=0)
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    assert subject.evaluation.truth is not None
    assert subject.evaluation.truth.tolist() == [0, 0, 0, 0]


def test_a_scaled_model_is_still_made_of_layers_that_can_be_repaired(
    tmp_path: Path, options: Options
) -> None:
    inputs = keras.Input((32, 32, 3), name="pixels")
    x = keras.layers.Conv2D(4, 3, use_bias=False)(keras.layers.Rescaling(1.0)(inputs))
    x = keras.layers.BatchNormalization()(x) * 2.0  # an operation that is no layer
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    net = keras.Model(inputs, keras.layers.Dense(len(LABELS), activation="softmax")(x))
    model = load_subject(saved(net, tmp_path / "net.keras"), options).model
    faces = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.float32)
    folded = fold_batch_norm(model)
    assert not any(isinstance(o, keras.layers.BatchNormalization) for o in folded.layers)
    expected = net.predict(faces / 127.5 - 1.0, verbose=0)
    for twin in (model, folded):
        np.testing.assert_allclose(twin.predict(faces, verbose=0), expected, atol=1e-5)
    assert without_softmax(model) is not None


def test_logits_are_told_from_probabilities(tmp_path: Path, options: Options) -> None:
    subject = load_subject(saved(a_net(softmax=False), tmp_path / "net.keras"), options)
    assert subject.spec.output == "logits"


def test_without_labelled_faces_the_calibration_faces_are_compared(
    tmp_path: Path, options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = Options(options.labels, options.input_range, options.calibration)
    subject = load_subject(saved(a_net(), tmp_path / "net.keras"), bare)
    assert subject.evaluation.truth is None
    np.testing.assert_array_equal(subject.evaluation.pixels, subject.calibration.pixels)
    assert "no --evaluation" in capsys.readouterr().err


def test_the_calibration_set_is_stratified_seeded_and_of_the_size_asked_for(
    tmp_path: Path, options: Options
) -> None:
    net = saved(a_net(), tmp_path / "net.keras")

    def drawn(seed: int) -> np.ndarray:
        chosen = Options(
            options.labels, calibration=options.calibration, calibration_size=6, seed=seed
        )
        sample = load_subject(net, chosen).calibration
        assert sample.truth is not None
        assert sample.truth.tolist() == [0, 0, 0, 1, 1, 1]
        return sample.pixels

    np.testing.assert_array_equal(drawn(1), drawn(1))
    assert not np.array_equal(drawn(1), drawn(2))


def another_count_of_labels(model: Path, labels: Path) -> Path:
    labels.write_text("happy\nsad\n")
    return model


def no_keras_model(model: Path, labels: Path) -> Path:
    model.write_bytes(b"junk")
    return model


def any_input_size(model: Path, labels: Path) -> Path:
    return saved(a_net(size=None), model)


def an_empty_folder(model: Path, labels: Path) -> Path:
    (model.parent / "empty").mkdir()
    return model.parent / "empty"


def a_damaged_archive(model: Path, labels: Path) -> Path:
    content = bytearray(model.read_bytes())
    content[content.find(b"model.weights.h5") + 2000] ^= 255
    model.write_bytes(content)
    return model


def a_lambda_layer(model: Path, labels: Path) -> Path:
    net = a_net()
    return saved(
        keras.Model(net.inputs, keras.layers.Lambda(lambda x: x * 2)(net.outputs[0])), model
    )


def a_net_never_built(model: Path, labels: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of what is tried here
        return saved(keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)]), model)


def a_damaged_saved_model(model: Path, labels: Path) -> Path:
    (model.parent / "folder").mkdir()
    (model.parent / "folder" / "saved_model.pb").write_bytes(b"no protocol buffer")
    return model.parent / "folder"


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (a_damaged_archive, ModelError, "or it is damaged"),
        (a_lambda_layer, ModelError, "has a Lambda layer"),
        (a_net_never_built, ModelError, "build it first"),
        (a_damaged_saved_model, ModelError, "is not a SavedModel"),
        (another_count_of_labels, ModelError, "there are 2 labels"),
        (no_keras_model, ModelError, "is not a Keras model that can be read"),
        (any_input_size, ModelError, "height, width"),
        (an_empty_folder, DataError, "neither a run folder made by emo-train nor a SavedModel"),
    ],
)
def test_a_model_that_cannot_be_converted_is_refused(
    tmp_path: Path,
    options: Options,
    labels: Path,
    spoil: Callable[[Path, Path], Path],
    error: type[EmoError],
    message: str,
) -> None:
    model = spoil(saved(a_net(), tmp_path / "net.keras"), labels)
    with pytest.raises(error, match=message):
        load_subject(model, options)


def weights_alone(model: Path, labels: Path) -> Path:
    a_net().save_weights(path := model.with_name("net.weights.h5"))
    return path


def a_tflite(model: Path, labels: Path) -> Path:
    return Path(shutil.copy(ASSETS / "drawn-int8.tflite", model.with_suffix(".tflite")))


def a_layer_that_fails(model: Path, labels: Path) -> Path:
    saved(a_net(), path := model.with_suffix(".h5"))
    with h5py.File(path, "r+") as file:  # as an older Keras wrote it
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["config"]["groups_of_old"] = 1
        file.attrs["model_config"] = json.dumps(config)
    return path


def a_mixed_precision(model: Path, labels: Path) -> Path:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return saved(a_net(), model)
    finally:
        keras.config.set_dtype_policy("float32")


def weights_that_are_no_numbers(model: Path, labels: Path) -> Path:
    net = a_net()
    net.layers[-1].set_weights([np.full((4, 3), np.nan), np.zeros(3)])
    return saved(net, model)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (weights_alone, "weights alone: save the whole model"),
        (a_tflite, "emo-convert inspect"),
        (a_layer_that_fails, "Unrecognized keyword arguments passed to Conv2D: .*groups_of_old"),
        (a_mixed_precision, "computes in float16: build it under .*'float32'"),
        (weights_that_are_no_numbers, "the Keras model itself answers NaN"),
    ],
)
def test_the_reason_of_a_refusal_is_told(
    tmp_path: Path,
    options: Options,
    labels: Path,
    spoil: Callable[[Path, Path], Path],
    message: str,
) -> None:
    model = spoil(tmp_path / "net.keras", labels)
    with pytest.raises(ModelError, match=message):
        load_subject(model, options)


def signed(folder: Path, shape: tuple[int | None, ...], dtype: tf.DType, outputs: int) -> Path:
    """Save a SavedModel whose signature takes such pixels and gives so many outputs."""
    module = tf.Module()
    module.net = net = a_net()

    @tf.function(input_signature=[tf.TensorSpec(shape, dtype, name="pixels")])
    def serve(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        answers = net(tf.cast(pixels, tf.float32))
        return {f"answer_{number}": answers for number in range(outputs)}

    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    return folder


@pytest.mark.parametrize(
    ("batch", "dtype", "outputs", "message"),
    [
        (None, tf.float32, 2, "takes pixels and gives answer_0, answer_1: export it with one"),
        (1, tf.float32, 1, r"takes float32\(1, 32, 32, 3\): export it .* batches of any size"),
        (None, tf.uint8, 1, "takes uint8.*: export it for float32"),
    ],
)
def test_a_saved_model_of_another_signature_is_refused(
    tmp_path: Path,
    options: Options,
    batch: int | None,
    dtype: tf.DType,
    outputs: int,
    message: str,
) -> None:
    folder = signed(tmp_path / "net", (batch, 32, 32, 3), dtype, outputs)
    with pytest.raises(ModelError, match=message):
        load_subject(folder, options)


def test_an_adapted_normalization_is_kept_when_pixels_are_scaled(
    tmp_path: Path, options: Options
) -> None:
    norm = keras.layers.Normalization()
    norm.adapt(np.random.default_rng(0).random((50, 32, 32, 3)).astype(np.float32))
    inputs = keras.Input((32, 32, 3))
    net = keras.Model(inputs, a_net()(norm(inputs)))
    subject = load_subject(saved(net, tmp_path / "net.keras"), options)
    faces = subject.evaluation.pixels
    expected = net.predict(faces / 127.5 - 1.0, verbose=0)
    answers = subject.model.predict(faces.astype(np.float32), verbose=0)
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    np.testing.assert_allclose(subject.reference, expected, atol=1e-5)


def test_a_layer_whose_state_a_copy_loses_is_refused() -> None:
    class Gain(keras.layers.Layer):
        gain = 1.0

        def call(self, inputs: object) -> object:
            return inputs * self.gain

    net = a_net(softmax=False)
    gain = Gain()
    odd = keras.Model(net.input, gain(net.output))
    gain.gain = 3.0
    spec = ModelSpec(labels=LABELS, height=32, width=32, colour="rgb")
    with pytest.raises(ModelError, match="a state that is lost"):
        taking_raw_pixels(odd, spec, (-1.0, 1.0))


def test_sigmoids_are_said_to_be_taken_for_logits(
    tmp_path: Path, options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    net = a_net(softmax=False)
    odd = keras.Model(net.input, keras.layers.Activation("sigmoid")(net.output))
    assert load_subject(saved(odd, tmp_path / "net.keras"), options).spec.output == "logits"
    assert "as those of sigmoids" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given", [(5, 5), (1, -1), (float("nan"), 1), (0, float("inf")), (-2e6, 0)], ids=str
)
def test_a_range_that_no_pixels_can_have_is_refused(given: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="the lower first"):
        Options(input_range=given)


@pytest.mark.parametrize(
    ("content", "problem"),
    [("happy\nhappy\nsad\n", "names a label twice"), ("happy\nsa\x07d\nx\n", "controls")],
)
def test_labels_that_cannot_be_used_are_refused_by_the_name_of_their_option(
    tmp_path: Path, options: Options, labels: Path, content: str, problem: str
) -> None:
    labels.write_text(content)
    with pytest.raises(UsageError, match=f"--labels .*{problem}"):
        load_subject(saved(a_net(), tmp_path / "net.keras"), options)


def test_pictures_beside_the_class_folders_are_not_ignored_in_silence(
    tmp_path: Path, options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_faces(tmp_path / "test", 2, seed=9, colour=True)
    subject = load_subject(saved(a_net(), tmp_path / "net.keras"), options)
    assert len(subject.evaluation.pixels) == 4
    assert "test: 2 pictures beside the class folders are ignored" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["labels", "calibration"])
def test_a_model_without_a_run_needs_labels_and_faces(
    tmp_path: Path, options: Options, missing: str
) -> None:
    given = {"labels": options.labels, "calibration": options.calibration}
    given.pop(missing)
    with pytest.raises(UsageError, match="give --labels FILE and --calibration DIR"):
        load_subject(saved(a_net(), tmp_path / "net.keras"), Options(**given))


def test_a_custom_layer_without_its_class_is_named(tmp_path: Path, options: Options) -> None:
    class Mystery(keras.layers.Layer):
        def call(self, inputs: object) -> object:
            return inputs

    net = a_net()
    odd = keras.Model(net.inputs, Mystery()(net.outputs[0]))
    with pytest.raises(ModelError, match="Mystery"):
        load_subject(saved(odd, tmp_path / "net.keras"), options)


def a_last_dense(x: object) -> object:
    return keras.layers.Dense(3, activation="softmax")(x)


def a_last_activation(x: object) -> object:
    return keras.layers.Activation("softmax")(keras.layers.Dense(3)(x))


def a_last_softmax(x: object) -> object:
    return keras.layers.Softmax()(keras.layers.Dense(3)(x))


@pytest.mark.parametrize("head", [a_last_dense, a_last_activation, a_last_softmax])
def test_a_softmax_is_taken_off_whatever_layer_holds_it(head: Callable[[object], object]) -> None:
    inputs = keras.Input((5,))
    net = keras.Model(inputs, head(inputs))
    bare = without_softmax(net)
    assert bare is not None
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    powers = np.exp(bare.predict(x, verbose=0))
    expected = net.predict(x, verbose=0)
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), expected, atol=1e-6)


def operators_before_a_net(inputs: object) -> object:
    return a_net(size=8)(inputs / 127.5 - 1.0)


def a_net_in_a_sequential_model(inputs: object) -> object:
    return keras.Sequential([keras.Input((8, 8, 3)), a_net(size=8)])(inputs)


@pytest.mark.parametrize("head", [operators_before_a_net, a_net_in_a_sequential_model])
def test_the_softmax_of_a_net_inside_is_taken_off_and_nothing_else(
    head: Callable[[object], object],
) -> None:
    inputs = keras.Input((8, 8, 3))
    net = keras.Model(inputs, head(inputs))
    bare = without_softmax(net)
    assert bare is not None
    faces = np.random.default_rng(0).uniform(0, 1, (4, 8, 8, 3)).astype(np.float32)
    powers = np.exp(bare.predict(faces, verbose=0))
    expected = net.predict(faces, verbose=0)
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), expected, atol=1e-6)


def answers_for_a_face_and_its_mirror_image(x: object) -> object:
    net = a_net(size=8)
    return (net(x) + net(keras.ops.flip(x, axis=2))) / 2


def two_heads_averaged(x: object) -> object:
    flat = keras.layers.Flatten()(x)
    return (a_last_dense(flat) + a_last_dense(flat)) / 2


def a_softmax_smoothed(x: object) -> object:
    return a_last_softmax(keras.layers.Flatten()(x)) * 0.5 + 0.5 / 3


@pytest.mark.parametrize(
    "head", [answers_for_a_face_and_its_mirror_image, two_heads_averaged, a_softmax_smoothed]
)
def test_a_softmax_that_does_not_give_the_answers_stays(head: Callable[[object], object]) -> None:
    inputs = keras.Input((8, 8, 3))
    assert without_softmax(keras.Model(inputs, head(inputs))) is None


def test_a_net_without_softmax_has_none_to_take_off() -> None:
    assert without_softmax(a_net(softmax=False)) is None


def test_folders_that_are_no_labels_are_not_taken_for_unlabelled_faces(
    tmp_path: Path, options: Options
) -> None:
    bad = Options(options.labels, calibration=options.calibration, evaluation=tmp_path)
    with pytest.raises(DataError, match="none of which is a label"):
        load_subject(saved(a_net(), tmp_path / "net.keras"), bad)


def test_faces_without_labels_are_said_to_be_so(
    tmp_path: Path, options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_faces(tmp_path / "loose", 3, seed=9, colour=True)
    loose = Options(options.labels, calibration=options.calibration, evaluation=tmp_path / "loose")
    assert load_subject(saved(a_net(), tmp_path / "net.keras"), loose).evaluation.truth is None
    assert "cannot measure accuracy" in capsys.readouterr().err


def test_the_hash_of_a_saved_model_covers_all_its_files(tmp_path: Path, options: Options) -> None:
    folder = saved(a_net(), tmp_path / "net")
    before = load_subject(folder, options).sha256
    assert load_subject(folder, options).sha256 == before
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / "vocabulary.txt").write_text("another")
    assert load_subject(folder, options).sha256 != before
