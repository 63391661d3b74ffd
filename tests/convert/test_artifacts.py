"""What lies beside a converted model: report, model card, table and plot."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from emo_convert.card import model_card
from emo_edge.modelfile import read_model
from running import assert_done, run


@pytest.fixture
def card(models: dict[str, Path]) -> str:
    return models["int8"].with_suffix(".md").read_text(encoding="utf-8")


def test_the_card_says_what_the_model_is_not_for_and_what_it_was_measured_on(card: str) -> None:
    assert "AI Act, Art. 5(1)(f)" in card
    assert "| happy |" in card and "| sad |" in card
    assert "14, test split" in card
    assert "tflite_runtime 2.14.0" in card


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ("none", ""),
        ("imagenet", "It began with the weights of ImageNet."),
        ("/home/me/faces.keras", "It began with the weights of `faces.keras`."),
    ],
)
def test_the_card_names_the_weights_that_a_net_began_with(
    models: dict[str, Path], weights: str, sentence: str
) -> None:
    spec = read_model(models["int8"]).spec
    recipe = {**spec.training["recipe"], "weights": weights}
    begun = replace(spec, training={**spec.training, "recipe": recipe})
    card = model_card("net.tflite", 1000, begun, spec.conversion)
    assert sentence in card
    assert ("It began" in card) == bool(sentence)
    assert "/home/me" not in card


def test_the_card_says_what_is_known_of_the_data_beside_its_size(models: dict[str, Path]) -> None:
    spec = read_model(models["int8"]).spec
    metrics = spec.training["metrics"]
    noted = {**metrics, "data": {**metrics["data"], "note": "Half of them are drawn."}}
    told = replace(spec, training={**spec.training, "metrics": noted})
    assert "Half of them are drawn." in model_card("net.tflite", 1000, told, spec.conversion)


def test_all_conversions_together_make_one_report_and_one_plot(models: dict[str, Path]) -> None:
    folder = models["int8"].parent
    report = json.loads((folder / "conversion.json").read_text(encoding="utf-8"))
    assert [model["file"] for model in report["models"]] == [path.name for path in models.values()]
    for model in report["models"]:
        assert model["bytes"] == (folder / model["file"]).stat().st_size
        assert all(parity["median_ms"] > 0 for parity in model["parity"])
    plot = cv2.imread(str(folder / "conversion.png"))
    assert plot is not None and plot.shape[1] > 400


# Pixels and answers are float by request; everything between them is not.
@pytest.mark.parametrize(
    ("pixels", "activations"),
    [("int8", "21 INT8; 100% integer"), ("float32", "2 FLOAT32, 21 INT8")],
)
def test_other_pixel_types_are_made_on_request(
    run_folder: Path, tmp_path: Path, pixels: str, activations: str
) -> None:
    target = tmp_path / "face.tflite"
    options = ("--pixels", pixels, "--min-agreement", "0.8", "-o", target)
    assert_done(run("emo-convert", run_folder, "--quantize", "int8", *options))
    told = run("emo-convert", "inspect", target).stdout
    assert activations in told
    assert "golden       8 vectors" in told


def test_constants_are_aligned_and_equal_vectors_stored_once(models: dict[str, Path]) -> None:
    from tensorflow.lite.python import schema_py_generated as schema

    for path in models.values():
        model = schema.Model.GetRootAs(read_model(path).flatbuffer, 0)
        constants = [_constant(model.Buffers(n)) for n in range(model.BuffersLength())]
        kept = [(start, content) for start, content in constants if content]
        assert len(kept) > 10
        assert [start for start, _ in kept if start % 16] == []
        assert len({start for start, _ in kept}) == len({content for _, content in kept})


def _constant(buffer: Any) -> tuple[int, bytes]:
    """Return where in the file a buffer's bytes begin, and the bytes."""
    content = b"" if buffer.DataIsNone() else buffer.DataAsNumpy().tobytes()
    field = buffer._tab.Offset(4)  # of `data`, the first field of a Buffer
    return (buffer._tab.Vector(field) if field else 0), content
