"""The files that come out, seen by the device's interpreter in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from emo_edge.artifacts import sha256
from emo_edge.contract import probabilities
from emo_edge.modelfile import ModelFile, read_model
from emo_edge.score import score_in_own_process
from emo_edge.spec import ModelSpec

QUANTIZATIONS = ("none", "fp16", "dynamic", "int8", "int16x8")

# The runtime alone: what it says of the tensors, as JSON.
ANATOMY = """
import json, sys
import numpy as np
from tflite_runtime.interpreter import Interpreter

engine = Interpreter(sys.argv[1])
engine.allocate_tensors()

def told(details):
    return [
        {"dtype": np.dtype(d["dtype"]).name, "quantization": d["quantization"],
         "shape": d["shape"].tolist()} for d in details
    ]

print(json.dumps({
    "inputs": told(engine.get_input_details()),
    "outputs": told(engine.get_output_details()),
    "tensors": told(engine.get_tensor_details()),
}))
"""


def anatomy(model: Path) -> dict[str, Any]:
    words = [sys.executable, "-c", ANATOMY, str(model)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def spec_of(model: ModelFile) -> ModelSpec:
    assert model.spec is not None
    return model.spec


def parity_on(model: Path, backend: str) -> dict[str, Any]:
    parities = spec_of(read_model(model)).conversion["parity"]
    (found,) = [parity for parity in parities if parity["runtime"].startswith(backend)]
    return dict(found)


@pytest.fixture(scope="module")
def evaluation(run_folder: Path) -> dict[str, NDArray[Any]]:
    with np.load(run_folder / "evaluation.npz") as archive:
        return {name: archive[name] for name in ("pixels", "truth")}


@pytest.fixture(scope="module")
def keras_answers(run_folder: Path, evaluation: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    model = keras.saving.load_model(run_folder / "model.keras", compile=False)
    logits = model.predict(evaluation["pixels"].astype(np.float32), verbose=0)
    return probabilities(logits, ModelSpec.from_json((run_folder / "spec.json").read_bytes()))


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_the_device_answers_as_the_keras_model(
    models: dict[str, Path],
    evaluation: dict[str, NDArray[Any]],
    keras_answers: NDArray[np.float32],
    name: str,
) -> None:
    scored = score_in_own_process(models[name], evaluation["pixels"], "tflite_runtime")
    answers = scored.probabilities
    same = answers.argmax(axis=1) == keras_answers.argmax(axis=1)
    difference = float(np.abs(answers - keras_answers).mean())
    # float32 differs by rounding, float16 by its 10-bit mantissa, int8 by steps of 1/256
    assert difference < {"none": 1e-4, "fp16": 0.01}.get(name, 0.05)
    parity = parity_on(models[name], "tflite_runtime")
    assert parity["images"] == len(answers)
    assert parity["agreement"] == round(float(same.mean()), 4)
    assert parity["mean_difference"] == pytest.approx(difference, abs=1e-4)
    hits = float((answers.argmax(axis=1) == evaluation["truth"]).mean())
    assert parity["accuracy"]["export_top1"] == round(hits, 4)


def test_an_int8_model_takes_pixels_as_they_are_and_gives_int8(models: dict[str, Path]) -> None:
    found = anatomy(models["int8"])
    (taken,), (given) = found["inputs"], found["outputs"]
    assert taken == {"dtype": "uint8", "quantization": [1.0, 0], "shape": [1, 48, 48, 1]}
    assert [output["dtype"] for output in given] == ["int8"]
    assert given[0]["shape"] == [1, 2]


def test_no_tensor_of_an_int8_model_is_float(models: dict[str, Path]) -> None:
    kinds = {tensor["dtype"] for tensor in anatomy(models["int8"])["tensors"]}
    assert "int8" in kinds
    assert not {kind for kind in kinds if kind.startswith("float")}


@pytest.mark.parametrize("name", ["none", "fp16", "dynamic"])
def test_the_other_models_take_the_same_pixels_as_float(models: dict[str, Path], name: str) -> None:
    found = anatomy(models[name])
    (taken,), (given) = found["inputs"], found["outputs"]
    assert (taken["dtype"], taken["shape"]) == ("float32", [1, 48, 48, 1])
    assert [output["dtype"] for output in given] == ["float32"]


def test_smaller_numbers_make_smaller_files(models: dict[str, Path]) -> None:
    sizes = {name: len(read_model(path).flatbuffer) for name, path in models.items()}
    assert sizes["int8"] < 0.6 * sizes["none"]
    assert sizes["dynamic"] < 0.6 * sizes["none"]
    assert sizes["fp16"] < 0.7 * sizes["none"]


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_unzip_lists_the_documented_entries(models: dict[str, Path], name: str) -> None:
    with zipfile.ZipFile(models[name]) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "labels.txt",
            "emo_spec.json",
            "flatbuffer.sha256",
            "golden_pixels.npy",
            "golden_probabilities.npy",
        ]
        assert archive.read("labels.txt").decode().splitlines() == ["happy", "sad"]


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_the_spec_inside_is_that_of_the_run(
    models: dict[str, Path], run_folder: Path, name: str
) -> None:
    inside = spec_of(read_model(models[name]))
    trained = ModelSpec.from_json((run_folder / "spec.json").read_bytes())
    assert inside.input_shape == trained.input_shape
    assert (inside.labels, inside.temperature) == (trained.labels, trained.temperature)
    assert (inside.threshold, inside.training) == (trained.threshold, trained.training)
    assert inside.minimum_runtime


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_the_file_says_how_it_was_made(
    models: dict[str, Path], run_folder: Path, name: str
) -> None:
    made = spec_of(read_model(models[name])).conversion
    assert made["quantization"] == name
    assert made["gate"]["max_drop"] == 1.0
    assert made["gate"]["min_agreement"] == 0.95
    assert made["calibration"]["images"] == (54 if name.startswith("int") else 0)
    assert "train" in made["calibration"]["origin"]
    assert made["source"]["sha256"] == sha256((run_folder / "model.keras").read_bytes())
    assert {"emo-toolkit", "tensorflow", "keras", "python"} <= made["versions"].keys()
    for parity in made["parity"]:
        assert not parity["failures"]


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_the_report_beside_the_file_says_what_the_file_says(
    models: dict[str, Path], name: str
) -> None:
    report = json.loads(models[name].with_suffix(".report.json").read_text())
    inside = spec_of(read_model(models[name])).conversion
    for key in ("quantization", "calibration", "gate", "versions"):
        assert report[key] == inside[key]
    for told, kept in zip(report["parity"], inside["parity"], strict=True):
        assert told.items() >= kept.items()


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_the_golden_vectors_hold_and_are_nobodys_face(
    models: dict[str, Path], run_folder: Path, name: str
) -> None:
    golden = read_model(models[name]).golden
    assert golden is not None
    assert len(golden.pixels) == 8
    scored = score_in_own_process(models[name], golden.pixels, "tflite_runtime")
    np.testing.assert_array_equal(scored.probabilities, golden.probabilities)
    faces = {
        face.tobytes()
        for split in ("calibration.npz", "evaluation.npz")
        for face in np.load(run_folder / split)["pixels"]
    }
    assert not faces & {pixels.tobytes() for pixels in golden.pixels}
