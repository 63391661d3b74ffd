"""`Classifier`: right answers from whole models, one clear line for all others."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.drawn import FLOAT32, INT8, LABELS, labels_file, scene
from emo_edge.classifier import Classifier
from emo_edge.contract import Box, crop_face
from emo_edge.errors import ModelError, UsageError
from emo_edge.modelfile import Golden, pack, read_model

BOTH = pytest.mark.parametrize("path", [INT8, FLOAT32], ids=["int8", "float32"])
PARTS = read_model(INT8)
EASY = ("happy", "neutral", "surprised")


def repacked(path: Path, golden: Golden | None = None, **changes: Any) -> Path:
    """Write the real model with another spec."""
    assert PARTS.spec is not None
    spec = dataclasses.replace(PARTS.spec, **changes)
    path.write_bytes(pack(PARTS.flatbuffer, spec, golden))
    return path


def plain(path: Path, source: Path = INT8) -> Path:
    """Write the model without its metadata."""
    path.write_bytes(read_model(source).flatbuffer)
    return path


@BOTH
def test_drawn_faces_get_their_expression(path: Path) -> None:
    classify = Classifier(path)
    picture, boxes = scene(*EASY)
    answers = [classify.spec.labels[classify(picture, box).argmax()] for box in boxes]
    assert answers == list(EASY)


@BOTH
def test_probabilities_are_float32_in_the_order_of_the_labels_and_sum_to_one(path: Path) -> None:
    answer = Classifier(path)(scene("sad")[0])
    assert answer.dtype == np.float32
    assert answer.shape == (len(LABELS),)
    assert answer.sum() == pytest.approx(1, abs=1e-5)


def test_a_box_in_a_picture_and_its_crop_give_the_same_answer() -> None:
    classify = Classifier(str(INT8))
    picture, (box,) = scene("happy")
    crop = crop_face(picture, box, classify.spec.crop_margin)
    np.testing.assert_array_equal(classify(picture, box), classify(crop))


def test_int8_and_float32_agree_about_drawn_faces() -> None:
    picture, boxes = scene(*LABELS)
    answers = [[Classifier(p)(picture, box) for box in boxes] for p in (INT8, FLOAT32)]
    assert np.abs(np.subtract(*answers)).mean() < 0.05


def test_the_crop_margin_of_the_model_file_is_obeyed(tmp_path: Path) -> None:
    classify = Classifier(INT8)
    wide = Classifier(repacked(tmp_path / "m.tflite", crop_margin=0.25))
    picture, (box,) = scene("happy")
    wider = Box(box.x - box.w / 4, box.y - box.h / 4, box.w * 1.5, box.h * 1.5)
    np.testing.assert_array_equal(wide(picture, box), classify(picture, wider))


def test_golden_vectors_of_whole_models_hold_on_this_runtime() -> None:
    assert PARTS.golden is not None
    difference, wrong = Classifier(INT8).golden_difference(PARTS.golden)
    assert (round(difference, 2), wrong) == (0, 0)


def wrong_golden(kind: str) -> Golden:
    assert PARTS.golden is not None
    pixels, right = PARTS.golden.pixels, PARTS.golden.probabilities
    wrong = {
        "top-1": np.roll(right, 1, axis=1),
        "blurred": right * 0.8 + 0.04,  # the same top-1
        "nan": np.where(np.arange(5) == right.argmax(axis=1)[:, None], np.nan, right),
    }[kind]
    return Golden(pixels, wrong.astype(np.float32))


@pytest.mark.parametrize("kind", ["top-1", "blurred", "nan"])
def test_golden_vectors_that_do_not_hold_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ModelError, match=r"golden vectors of .* wrongly"):
        Classifier(repacked(tmp_path / "m.tflite", wrong_golden(kind)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 64}, r"takes \(1, 48, 48, 1\) but its metadata says \(1, 64, 48, 1\)"),
        ({"colour": "rgb"}, r"takes \(1, 48, 48, 1\) but its metadata says \(1, 48, 48, 3\)"),
        ({"labels": LABELS[:4]}, r"gives \(1, 5\) but has 4 labels"),
        ({"labels": (*LABELS, "bored")}, r"gives \(1, 5\) but has 6 labels"),
    ],
)
def test_metadata_that_contradicts_the_tensors_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        Classifier(repacked(tmp_path / "m.tflite", **changes))


@BOTH
def test_a_plain_model_with_labels_answers_like_the_packed_one(tmp_path: Path, path: Path) -> None:
    packed = Classifier(path)
    bare = Classifier(
        plain(tmp_path / "plain.tflite", path), labels=str(labels_file(tmp_path / "labels.txt"))
    )
    picture, boxes = scene(*EASY)
    assert bare.spec.labels == LABELS
    assert bare.spec.output == "logits"
    for box in boxes:
        warm = packed(picture, box) ** packed.spec.temperature  # the plain one has none
        np.testing.assert_allclose(bare(picture, box), warm / warm.sum(), atol=1e-4)


def test_the_input_range_of_a_plain_model_is_obeyed(tmp_path: Path) -> None:
    path = plain(tmp_path / "plain.tflite", FLOAT32)
    labels = labels_file(tmp_path / "labels.txt")
    picture, (box,) = scene("happy")
    direct, inverted = (
        Classifier(path, labels=labels, input_range=span) for span in ((0.0, 255.0), (0.0, 127.5))
    )
    dark = (picture // 2 * 2) // 2
    np.testing.assert_allclose(inverted(picture // 2 * 2, box), direct(dark, box), atol=0.02)


def test_a_plain_model_without_labels_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --labels FILE"):
        Classifier(plain(tmp_path / "plain.tflite"))


@pytest.mark.parametrize("option", ["labels", "input_range"])
def test_a_model_with_metadata_refuses_to_be_overruled(tmp_path: Path, option: str) -> None:
    value = {"labels": labels_file(tmp_path / "l.txt"), "input_range": (0.0, 1.0)}[option]
    with pytest.raises(UsageError, match="carries its own labels"):
        Classifier(INT8, **{option: value})


@pytest.mark.parametrize("labels", [LABELS[:3], (*LABELS, "bored")])
def test_a_plain_model_with_the_wrong_number_of_labels_is_refused(
    tmp_path: Path, labels: tuple[str, ...]
) -> None:
    path = plain(tmp_path / "plain.tflite")
    with pytest.raises(ModelError, match=f"but has {len(labels)} labels"):
        Classifier(path, labels=labels_file(tmp_path / "labels.txt", labels))


@pytest.mark.usefixtures("unverified")
def test_a_plain_model_that_crashes_the_runtime_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wild.tflite"
    path.write_bytes(b"\xf0\xff\xff\xff" + PARTS.flatbuffer[4:])  # begins 4 GB after its end
    with pytest.raises(ModelError, match=r"crashes .* \(signal 11\): it is damaged"):
        Classifier(path, labels=labels_file(tmp_path / "labels.txt"))
