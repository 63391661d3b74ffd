"""Models that emo-train did not make, through the whole command: what the file answers, and names
and machines that get in the way."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest

import emo_convert.convert
from emo_convert.cli import app, inspect_app
from emo_edge.errors import ModelError
from emo_edge.modelfile import read_model
from emo_edge.score import score_in_own_process
from running import Outcome, assert_done, assert_refused, call

layers = keras.layers
LABELS = ("happy", "sad", "neutral")
SIZE = 16


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Return a folder with labels.txt and noise for faces in train/ and test/."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for label in LABELS:
            (folder := tmp_path / split / label).mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
                cv2.imwrite(str(folder / f"{number}.png"), noise)
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    return tmp_path


def convert(faces: Path, model: Path, *options: str | Path) -> Outcome:
    return call(
        app, model, "--labels", faces / "labels.txt", "--calibration", faces / "train",
        "--evaluation", faces / "test", "--backend", "tflite_runtime", *options,
    )  # fmt: skip


def a_net() -> Any:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(inputs))
    x = layers.Dense(3, activation="softmax", kernel_initializer="normal")(x)
    return keras.Model(inputs, x)


def saved(outputs: Any, inputs: Any, path: Path) -> Path:
    keras.Model(inputs, outputs).save(path)
    return path


@pytest.fixture
def net(faces: Path) -> Path:
    inputs = keras.Input((SIZE, SIZE, 3))
    return saved(a_net()(layers.Rescaling(1 / 255)(inputs)), inputs, faces / "net.keras")


def scaled_by_operators(x: Any) -> Any:
    return a_net()(x / 127.5 - 1.0)


def with_its_mirror_image(x: Any) -> Any:
    net = a_net()
    return (net(x / 255.0) + net(keras.ops.flip(x, axis=2) / 255.0)) / 2


@pytest.mark.parametrize("shape", [scaled_by_operators, with_its_mirror_image])
def test_the_file_answers_as_the_model_that_was_given(faces: Path, shape: Any) -> None:
    inputs = keras.Input((SIZE, SIZE, 3))
    path = saved(shape(inputs), inputs, faces / "net.keras")
    assert_done(convert(faces, path, "--quantize", "none"))
    pixels = np.random.default_rng(1).integers(0, 256, (8, SIZE, SIZE, 3), np.uint8)
    expected = keras.saving.load_model(path).predict(pixels.astype(np.float32), verbose=0)
    answers = score_in_own_process(faces / "net-float32.tflite", pixels, "tflite_runtime")
    np.testing.assert_allclose(answers.probabilities, expected, atol=1e-4)


def test_the_gate_compares_with_the_given_model_whatever_the_head(
    faces: Path, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mutilated(model: Any) -> Any:
        return keras.Model(model.inputs, layers.GlobalAveragePooling2D()(model.inputs[0]))

    monkeypatch.setattr(emo_convert.convert, "without_softmax", mutilated)
    assert_done(convert(faces, net, "--quantize", "none"))
    assert "softmax kept" in read_model(faces / "net-float32.tflite").spec.conversion["head"]


def test_recurrent_layers_are_refused_before_they_crash_the_calibration(faces: Path) -> None:
    inputs = keras.Input((SIZE, SIZE, 3))
    rows = layers.Reshape((SIZE, SIZE * 3))(layers.Rescaling(1 / 255)(inputs))
    x = layers.Bidirectional(layers.GRU(4), name="both")(rows)
    path = saved(layers.Dense(3)(x), inputs, faces / "net.keras")
    for options in (("--quantize", "int8"), ("--quantize", "int16x8"), ("--debug-layers",)):
        refused = convert(faces, path, *options)
        assert_refused(refused, 4, "both is a recurrent layer", "use --quantize dynamic")
    assert_done(convert(faces, path, "--quantize", "dynamic"))


def test_names_need_not_be_utf8(faces: Path, net: Path) -> None:
    def odd(name: bytes) -> Path:
        return faces / os.fsdecode(name)

    shutil.copy(net, odd(b"n\xff.keras"))
    shutil.copytree(faces / "train", odd(b"t\xff"))
    options = ("--quantize", "none", "--calibration", odd(b"t\xff"), "-o", odd(b"o\xff.tflite"))
    outcome = convert(faces, odd(b"n\xff.keras"), *options)
    assert_done(outcome)
    assert r"o\xff.tflite" in outcome.stdout
    conversion = read_model(odd(b"o\xff.tflite")).spec.conversion
    assert conversion["source"]["name"] == r"n\xff"
    assert conversion["calibration"]["origin"] == r"t\xff"
    assert r"o\xff.tflite" in odd(b"o\xff.md").read_text(encoding="utf-8")
    told = call(inspect_app, odd(b"o\xff.tflite"))
    assert_done(told)
    assert r"o\xff.tflite" in told.stdout


def test_a_name_is_no_markup(faces: Path, net: Path) -> None:
    outcome = convert(faces, Path(shutil.copy(net, faces / "face[old].keras")), "--quantize=none")
    assert_done(outcome)
    assert "face[old]-float32.tflite" in outcome.stdout


@contextmanager
def no_room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("quantization", ["none", "int8"])
def test_a_full_temporary_folder_is_one_line(faces: Path, net: Path, quantization: str) -> None:
    with no_room_for(4096):
        outcome = convert(faces, net, "--quantize", quantization)
    assert_refused(outcome, 8, "cannot write", "free some space")
    assert not list(faces.glob("*.tflite"))


def test_runtimes_older_than_asked_for_do_not_judge(faces: Path, net: Path) -> None:
    options = ("--quantize", "none", "--backend", "auto", "--runtime", "litert-1.2")
    outcome = convert(faces, net, *options)
    assert_done(outcome)
    assert "the gate leaves out tflite_runtime 2.14.0, older than" in outcome.stderr
    (parity,) = json.loads((faces / "net-float32.report.json").read_text())["parity"]
    assert parity["runtime"].startswith("ai_edge_litert")
    refused = convert(faces, net, "--backend", "auto", "--runtime", "litert-2.3")
    assert_refused(refused, 2, "no runtime installed here is as new as --runtime litert-2.3")


def test_repair_is_suggested_only_where_it_is_left_to_try(
    faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emo_convert.convert, "ladder", lambda *_: iter(()))
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(inputs))
    dense = layers.Dense(3, use_bias=False)
    x = dense(x)
    # The last class always wins, by less than a step of float16 or int8.
    dense.set_weights([np.tile(np.float32([3000, 3000.1, 3000.2]), (3, 1))])
    path = saved(x, inputs, faces / "net.keras")
    for options, suggested in (((), True), (("--repair",), False), (("--quantize=fp16",), False)):
        refused = convert(faces, path, "--min-agreement", "1", *options)
        assert_refused(refused, 6, "another --quantize")
        assert ("try --repair" in refused.stderr) is suggested


def test_classes_that_are_too_small_to_be_judged_are_told(faces: Path, net: Path) -> None:
    outcome = convert(faces, net, "--quantize", "none")
    assert "3 of 3 classes have fewer than 50 evaluation faces" in outcome.stderr


def test_nothing_is_written_where_the_report_has_no_place(faces: Path, net: Path) -> None:
    (faces / "net-float32.report.json").mkdir()
    refused = convert(faces, net, "--quantize", "none")
    assert_refused(refused, 8, "net-float32.report.json", "it is a folder")
    assert not list(faces.glob("*.tflite")) + list(faces.glob("*.md"))


@pytest.mark.parametrize("option", ["--max-drop", "--max-class-drop", "--min-agreement"])
def test_a_limit_is_a_number(faces: Path, net: Path, option: str) -> None:
    assert_refused(convert(faces, net, option, "nan"), 2, f"{option} must be a number")


def test_the_message_of_a_child_names_no_temporary_file(
    faces: Path, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crashes(model: Path, *_: object) -> None:
        raise ModelError(f"{model} crashes the runtime")

    monkeypatch.setattr(emo_convert.convert, "score_in_own_process", crashes)
    assert_refused(convert(faces, net), 4, "the export crashes the runtime")
