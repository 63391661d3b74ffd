"""The repair of int8 models: each repair, and the ladder on a net that is built to quantise badly.

The net is trained for seconds on drawn faces. `spoiled` computes the same function with channel
ranges between 2^-6 and 2^6 inside: one int8 scale per tensor cannot hold them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import Once
from emo_convert.parity import Gate
from emo_edge.contract import Image
from emo_edge.errors import ModelError
from emo_edge.messages import hushed
from emo_edge.modelfile import pack, read_model
from emo_edge.score import score_in_own_process
from emo_edge.spec import ModelSpec
from running import assert_done, assert_refused, call, run

keras = pytest.importorskip("keras")
# ruff: noqa: E402  # the imports below need it

from emo_convert.anatomy import dissect
from emo_convert.quantize import quantize
from emo_convert.repair import ladder as ladder_module
from emo_convert.repair import tuning
from emo_convert.repair.biases import correct_biases
from emo_convert.repair.equalize import equalize
from emo_convert.repair.fakequant import simulate
from emo_convert.repair.fold import fold_batch_norm
from emo_convert.repair.graph import copy, copy_weights, observe, wiring
from emo_convert.repair.ladder import ladder
from emo_convert.repair.layers import LayerError, layer_errors, plot_layer_errors
from emo_convert.repair.tuning import fine_tune

pytestmark = pytest.mark.workstation

layers = keras.layers
CLASSES = ("happy", "sad", "surprised")
SIZE = 32
SPEC = ModelSpec(labels=CLASSES, height=SIZE, width=SIZE)
TRAINING, EPOCHS, CALIBRATION, EVALUATION = 480, 10, 64, 240
OCTAVES = 6


@dataclass(frozen=True)
class Case:
    """A trained net and the faces that calibrate and judge its conversions."""

    model: Any
    spoiled: Any
    calibration: Image
    faces: Image
    truth: NDArray[np.int64]


def draw(seed: int, count: int) -> tuple[Image, NDArray[np.int64]]:
    import cv2

    from emo_train.synthetic import draw_identity, face_crop

    rng = np.random.default_rng(seed)
    truth = np.arange(count) % len(CLASSES)
    crops = [face_crop(draw_identity(rng), CLASSES[k], rng, SIZE) for k in truth]
    return np.stack([cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY) for crop in crops])[..., None], truth


def train(folder: Path) -> None:
    from emo_train.models import build_model

    folder.mkdir()
    keras.utils.clear_session()  # layers are found by name, and names count up in a process
    keras.utils.set_random_seed(0)
    pixels, truth = draw(0, TRAINING)
    model = build_model("plain-micro", SPEC.input_shape[1:], len(CLASSES), 0.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = keras.optimizers.schedules.CosineDecay(4e-3, EPOCHS * TRAINING // 32)
    model.compile(keras.optimizers.Adam(rate), loss)
    model.fit(pixels.astype(np.float32), truth, batch_size=32, epochs=EPOCHS, verbose=0)
    model.save(folder / "model.keras")
    faces, truth = draw(1, EVALUATION)
    np.savez(folder / "faces.npz", calibration=pixels[:CALIBRATION], faces=faces, truth=truth)


def spoil(model: Any, octaves: float, blocks: int) -> Any:
    """Multiply channels inside residual blocks by 2^-octaves..2^octaves and divide them out again.

    Powers of two: the float function does not change by a single bit.
    """
    spoiled = copy(model)
    readers = wiring(spoiled).consumers
    rng = np.random.default_rng(0)
    for norm in [layer for layer in spoiled.layers if "batch_norm" in layer.name]:
        (relu,) = readers[norm.name] if len(readers[norm.name]) == 1 else ("",)
        after = [spoiled.get_layer(name) for name in readers.get(relu, ())]
        if "re_lu" not in relu or len(after) != 1 or not blocks:
            continue
        blocks -= 1
        spread = np.round(np.linspace(-octaves, octaves, norm.gamma.shape[0]))
        factors = 2.0 ** rng.permutation(spread)
        gamma, beta, *statistics = norm.get_weights()
        norm.set_weights([gamma * factors, beta * factors, *statistics])
        (kernel,) = after[0].get_weights()
        after[0].set_weights([kernel / factors[:, None]])
    assert not blocks
    return spoiled


@pytest.fixture(scope="session")
def case(once: Once) -> Case:
    folder = once("repair", train)
    model = keras.saving.load_model(folder / "model.keras", compile=False)
    with np.load(folder / "faces.npz") as arrays:
        return Case(model, spoil(model, OCTAVES, 2), **arrays)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with hushed():
        yield


def outputs(model: Any, faces: Image) -> NDArray[np.float32]:
    return np.asarray(model.predict(faces.astype(np.float32), verbose=0))


def agreement(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float((a.argmax(axis=1) == b.argmax(axis=1)).mean())


def device_answers(flatbuffer: bytes, faces: Image, folder: Path) -> NDArray[np.float32]:
    path = folder / "candidate.tflite"
    path.write_bytes(pack(flatbuffer, SPEC))
    return score_in_own_process(path, faces).probabilities


def passes(case: Case, flatbuffer: bytes, folder: Path) -> bool:
    """Apply the defaults of the parity gate."""
    reference = outputs(case.model, case.faces)
    answers = device_answers(flatbuffer, case.faces, folder)
    right = [float((a.argmax(axis=1) == case.truth).mean()) for a in (reference, answers)]
    drop = 100 * (right[0] - right[1])
    return drop <= Gate().max_drop and agreement(reference, answers) >= Gate().min_agreement


def handmade() -> Any:
    """Every kind of layer that folds or equalizes, with uneven weights and live batch norms."""
    inputs = keras.Input((SIZE, SIZE, 1))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.BatchNormalization(name="stays_first")(x)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    x = layers.Activation("relu")(layers.BatchNormalization(scale=False)(x))
    x = layers.Conv2D(12, 1, activation="relu")(x)
    x = layers.BatchNormalization(name="stays_behind_relu")(x)
    x = trunk = layers.Conv2D(12, 3, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization(center=False, name="stays_beside_addition")(x))
    x = layers.Add()([trunk, layers.MaxPooling2D(3, 1, padding="same")(x)])
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    x = layers.ReLU(max_value=6)(layers.BatchNormalization()(layers.Dense(10)(x)))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Dropout(0.2)(x)))
    rng = np.random.default_rng(3)
    for variable in model.weights:
        shape = tuple(variable.shape)
        if len(shape) == 1:
            variable.assign(rng.uniform(0.5, 1.5, shape))
        else:
            scale = 2.0 ** rng.uniform(-4, 4, shape[-1]) / np.sqrt(np.prod(shape[:-1]))
            variable.assign(rng.normal(0, 1, shape) * scale)
    return model


@pytest.mark.parametrize("kind", ["trained", "handmade"])
def test_folding_and_equalizing_keep_the_float_function(case: Case, kind: str) -> None:
    model = case.spoiled if kind == "trained" else handmade()
    before = [np.array(weight) for weight in model.get_weights()]
    folded = fold_batch_norm(model)
    equalized = equalize(folded, case.calibration)

    expected = outputs(model, case.faces)
    tolerance = 1e-4 * np.abs(expected).max()  # float32 sums in another order
    np.testing.assert_allclose(outputs(folded, case.faces), expected, atol=tolerance)
    np.testing.assert_allclose(outputs(equalized, case.faces), expected, atol=tolerance)
    left = [layer.name for layer in folded.layers if "batch_norm" in layer.name]
    stays = [layer.name for layer in folded.layers if "stays" in layer.name]
    assert not left
    shared = ["stays_first", "stays_behind_relu", "stays_beside_addition"]
    assert stays == ([] if kind == "trained" else shared)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_equalizing_levels_the_channels(case: Case) -> None:
    folded = fold_batch_norm(case.spoiled)
    relu = next(layer for layer in folded.layers if layer.name.endswith("re_lu_1")).name

    def spread(model: Any) -> float:
        batches = observe(model, [relu], case.calibration)
        heights = np.max([batch[relu].max(axis=(0, 1, 2)) for batch in batches], axis=0)
        return float(heights.max() / heights[heights > 0].min())

    assert spread(folded) > 256
    assert spread(equalize(folded, case.calibration)) < 16


def test_a_sequential_model_folds() -> None:
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.BatchNormalization(), layers.Flatten()]
    )
    kinds = [type(layer).__name__ for layer in fold_batch_norm(model).layers]
    assert kinds == ["InputLayer", "Conv2D", "Flatten"]


def test_an_adapted_normalization_outlives_folding_also_inside_another_model() -> None:
    faces = draw(1, 8)[0]
    norm = layers.Normalization()
    norm.adapt(faces.astype(np.float32))
    inner = keras.Sequential([keras.Input((SIZE, SIZE, 1)), norm])
    inputs = keras.Input((SIZE, SIZE, 1))
    for first in (norm, inner):
        x = layers.Conv2D(2, 3)(first(inputs))
        model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
        # What holds another model is not folded, but it is copied.
        twin = fold_batch_norm(model) if first is norm else copy(model)
        expected = outputs(model, faces)
        np.testing.assert_allclose(outputs(twin, faces), expected, atol=1e-5)


def test_weights_that_do_not_fit_are_never_left_out_in_silence() -> None:
    def net(*, scale: bool) -> Any:
        inputs = keras.Input((4,))
        return keras.Model(inputs, layers.BatchNormalization(scale=scale, name="norm")(inputs))

    with pytest.raises(ModelError, match="the layer norm cannot be copied"):
        copy_weights(net(scale=True), net(scale=False))


def test_what_cannot_be_repaired_is_refused() -> None:
    inputs = keras.Input((8,))
    shared = layers.Dense(8)
    with pytest.raises(ModelError, match="used twice"):
        fold_batch_norm(keras.Model(inputs, shared(shared(inputs))))

    class Subclassed(keras.Model):  # type: ignore[misc]
        def call(self, pixels: Any) -> Any:
            return pixels

    with pytest.raises(ModelError, match="functional"):
        fold_batch_norm(Subclassed())


@pytest.mark.parametrize("octaves", [0, 4])
def test_the_simulation_answers_as_the_device_does(
    case: Case, octaves: int, tmp_path: Path
) -> None:
    model = fold_batch_norm(spoil(case.model, octaves, 2))
    simulated = outputs(simulate(model, case.calibration), case.faces)
    real = device_answers(quantize(model, SPEC, case.calibration), case.faces, tmp_path)
    assert agreement(simulated, real) > (0.98 if octaves == 0 else 0.93)


def test_percentiles_narrow_the_ranges_but_not_those_of_pixels_and_answers(case: Case) -> None:
    import tensorflow as tf

    def details(percentile: float | None) -> tuple[dict[str, float], Any]:
        flatbuffer = quantize(case.model, SPEC, case.calibration, percentile)
        interpreter = tf.lite.Interpreter(model_content=flatbuffer)
        scales = {t["name"]: t["quantization"][0] for t in interpreter.get_tensor_details()}
        pixels = interpreter.get_input_details()[0]
        assert pixels["dtype"] is np.uint8
        assert pixels["quantization"] == (1.0, 0)
        return scales, interpreter.get_output_details()[0]["quantization"]

    full, full_answers = details(None)
    clipped, clipped_answers = details(99.0)
    activations = [name for name in full if "Relu" in name]
    assert len(activations) == 9
    for name in activations:
        assert clipped[name] < 0.95 * full[name]
    # Rescaled pixels reach from -1 to 1, in 255 steps, and are not clipped.
    (rescaled,) = (name for name in full if name.endswith("rescale_1/add"))
    assert clipped[rescaled] == full[rescaled] == pytest.approx(1 / 128)
    assert clipped_answers == full_answers


@pytest.fixture(scope="session")
def errors(case: Case) -> list[LayerError]:
    with hushed():
        return layer_errors(spoil(case.model, OCTAVES, 1), SPEC, case.calibration)


def test_the_report_puts_the_spoiled_layers_first(errors: list[LayerError], tmp_path: Path) -> None:
    first, second, third = errors[:3]
    assert {first.operator, second.operator} == {"CONV_2D"}
    assert max(first.channel_sqnr, second.channel_sqnr) < third.channel_sqnr - 6
    # Rounding alone gives 0.29 steps.
    assert max(first.rmse, second.rmse) > 2 * max(error.rmse for error in errors[2:])
    assert len({error.name for error in errors}) == len(errors)
    plot_layer_errors(tmp_path / "layers.png", errors)
    assert (tmp_path / "layers.png").read_bytes().startswith(b"\x89PNG")


def test_float_fallback_leaves_only_those_layers_float(
    case: Case, errors: list[LayerError], tmp_path: Path
) -> None:
    worst = tuple(error.name for error in errors[:2])
    model = spoil(case.model, OCTAVES, 1)
    mixed = quantize(model, SPEC, case.calibration, float_layers=worst)
    anatomy = dissect(mixed)
    assert set(worst) < set(anatomy.float_tensors)
    assert len(anatomy.float_tensors) == 3  # and one conversion back to float before them
    assert dict(anatomy.operators)["DEQUANTIZE", 2] == 1
    assert not passes(case, quantize(model, SPEC, case.calibration), tmp_path)
    assert passes(case, mixed, tmp_path)
    with pytest.raises(ModelError, match="no layer writes nonsense"):
        quantize(model, SPEC, case.calibration, float_layers=["nonsense"])


def test_bias_correction_takes_the_mean_error_out(case: Case) -> None:
    model = fold_batch_norm(spoil(case.model, 4, 2))

    def shift(corrected: Any) -> float:
        rounded = outputs(simulate(corrected, case.calibration), case.calibration)
        return float(np.abs((rounded - outputs(model, case.calibration)).mean(axis=0)).max())

    assert shift(correct_biases(model, case.calibration)) < 0.3 * shift(model)


def test_fine_tuning_learns_to_be_rounded_and_gives_plain_layers(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "STEPS", 120)
    model = fold_batch_norm(spoil(case.model, 4, 2))
    tuned = fine_tune(model, case.calibration, 0)
    assert [type(layer) for layer in tuned.layers] == [type(layer) for layer in model.layers]

    def error(candidate: Any) -> float:
        difference = outputs(simulate(candidate, case.calibration), case.faces) - outputs(
            model, case.faces
        )
        return float(np.square(difference).mean())

    assert error(tuned) < 0.75 * error(model)


def test_fine_tuning_repeats_itself(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "STEPS", 3)
    model = fold_batch_norm(case.model)
    for layer in model.layers:
        layer.trainable = False  # as a training may have left them
    first, again = (fine_tune(model, case.calibration, 1).get_weights() for _ in range(2))
    for a, b, before in zip(first, again, model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)  # sums of threads, in any order
        assert not np.array_equal(a, before)


def test_the_ladder_computes_nothing_before_it_is_asked(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_early(*arguments: object) -> None:
        raise AssertionError("computed before it was asked for")

    for name in ("fold_batch_norm", "correct_biases", "layer_errors", "fine_tune"):
        monkeypatch.setattr(ladder_module, name, too_early)
    monkeypatch.setattr(ladder_module, "quantize", lambda *_, **__: b"")
    steps = ladder(case.model, SPEC, case.calibration, 0)
    assert next(steps)[0].name == "percentile 99.99"
    assert next(steps)[0].name == "percentile 99.9"
    with pytest.raises(AssertionError, match="before it was asked"):
        next(steps)


def test_what_nothing_can_be_equalized_in_skips_that_rung() -> None:
    """Activations that are cut off at 6 do not commute with a factor."""
    inputs = x = keras.Input((SIZE, SIZE, 1))
    for filters in (4, 6):
        x = layers.Conv2D(filters, 3, strides=2, use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    folded = fold_batch_norm(model := keras.Model(inputs, x))
    faces = draw(1, 8)[0]
    assert equalize(folded, faces) is folded
    names = [step.name for step, _ in islice(ladder(model, SPEC, faces, 0), 4)]
    assert names == [
        "percentile 99.99",
        "percentile 99.9",
        "bias correction",
        "float fallback of 1",
    ]


def test_the_ladder_repairs_what_plain_int8_ruins(case: Case, tmp_path: Path) -> None:
    assert np.array_equal(outputs(case.spoiled, case.faces), outputs(case.model, case.faces))
    plain = quantize(case.spoiled, SPEC, case.calibration)
    answers = device_answers(plain, case.faces, tmp_path)
    assert agreement(outputs(case.model, case.faces), answers) < 0.8
    tried = []
    for step, candidate in ladder(case.spoiled, SPEC, case.calibration, 0):
        tried.append(step.name)
        if passes(case, candidate, tmp_path):
            break
    # Percentiles are powerless against channels of unequal range; equalization is made for them.
    assert tried == ["percentile 99.99", "percentile 99.9", "equalize"]


@pytest.fixture
def spoiled_run(case: Case, tmp_path: Path) -> Path:
    folder = tmp_path / "spoiled"
    folder.mkdir()
    case.spoiled.save(folder / "model.keras")
    (folder / "spec.json").write_text(json.dumps(SPEC.to_json()))
    np.savez(folder / "calibration.npz", pixels=case.calibration, seed=0)
    np.savez(folder / "evaluation.npz", pixels=case.faces, truth=case.truth, split="test")
    return folder


def test_the_command_repairs_what_its_gate_refuses(spoiled_run: Path) -> None:
    options = (spoiled_run, "--backend", "tflite_runtime")
    target = spoiled_run / "spoiled-int8.tflite"
    assert_refused(run("emo-convert", *options), 6, "try --repair")
    assert not target.exists()
    outcome = run("emo-convert", *options, "--repair", "--debug-layers")
    assert_done(outcome)
    spec = read_model(target).spec
    assert spec is not None
    steps = spec.conversion["repair"]
    tried = [step["step"] for step in steps]
    assert tried == ["plain int8", "percentile 99.99", "percentile 99.9", "equalize"]
    assert [bool(step["failures"]) for step in steps] == [True, True, True, False]
    assert "CONV_2D" in outcome.stdout
    assert (spoiled_run / "spoiled-int8.layers.png").stat().st_size > 10_000


@pytest.mark.parametrize("nested", [False, True])
def test_a_model_of_elsewhere_that_no_step_repairs_ends_with_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool
) -> None:
    from emo_convert.cli import app

    monkeypatch.setattr(tuning, "STEPS", 1)
    monkeypatch.setattr(ladder_module, "FLOAT_LAYERS", ())
    inputs = keras.Input((SIZE, SIZE, 1))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, strides=4)(inputs))
    # Nothing for a softmax, but one step of int8 is now 80.
    lifted = keras.initializers.Constant(10_000)
    net = keras.Model(inputs, layers.Dense(len(CLASSES), bias_initializer=lifted)(x))
    keras.Model(inputs, net(inputs) if nested else net.outputs).save(tmp_path / "net.h5")
    (tmp_path / "labels.txt").write_text("\n".join(CLASSES))
    for seed, name in enumerate(("training", "test")):
        pixels, truth = draw(seed, 30)
        np.savez(tmp_path / f"{name}.npz", pixels=pixels, truth=truth)
    outcome = call(
        app, tmp_path / "net.h5", "--labels", tmp_path / "labels.txt", "--input-range", "-1", "1",
        "--calibration", tmp_path / "training.npz", "--evaluation", tmp_path / "test.npz",
        "--backend", "tflite_runtime", "--min-agreement", "1", "--repair",
    )  # fmt: skip
    assert_refused(outcome, 6, "net-int8.tflite was not written")
    assert ("the repair ends here" in outcome.stderr) is nested
    report = json.loads((tmp_path / "net-int8.failed.report.json").read_text())
    assert len(report["repair"]) == (3 if nested else 6)


def test_on_a_sound_net_no_step_harms(
    case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tuning, "STEPS", 20)
    steps = dict(ladder(case.model, SPEC, case.calibration, 0))
    assert [step.name for step in steps][3:] == [
        "equalize + bias correction",
        "float fallback of 1",
        "float fallback of 3",
        "quantization-aware fine-tuning",
    ]
    reference = outputs(case.model, case.faces)
    for step, candidate in steps.items():
        assert step.description
        answers = device_answers(candidate, case.faces, tmp_path)
        assert agreement(reference, answers) >= 0.95, step.name
