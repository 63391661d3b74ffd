from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emo_edge.artifacts import sha256
from emo_edge.modelfile import pack, read_model
from emo_edge.spec import ModelSpec
from emo_train.fer2013 import FER_LABELS, FERPLUS_LABELS, VOTE_COLUMNS
from emo_train.synthetic import EXPRESSIONS, write_dataset
from running import ASSETS, assert_done, assert_refused, call, draw_faces, run

INT8 = ASSETS / "drawn-int8.tflite"

# The runtime alone, by its own documentation: nothing of emo-toolkit is imported.
TOP1 = """
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter

engine = Interpreter(sys.argv[1])
engine.allocate_tensors()
for face in np.load(sys.argv[2]):
    engine.set_tensor(engine.get_input_details()[0]["index"], face[None, :, :, None])
    engine.invoke()
    print(engine.get_tensor(engine.get_output_details()[0]["index"])[0].argmax())
"""


@pytest.fixture(scope="module")
def test_split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 4 training and 16 test faces of each expression; grey, 48 x 48."""
    folder = tmp_path_factory.mktemp("faces")
    write_dataset(folder, per_class=64, identities=1, seed=5)
    return folder


def top1_without_us(paths: list[Path], tmp_path: Path) -> list[str]:
    faces = np.stack([np.asarray(cv2.imread(str(p), cv2.IMREAD_GRAYSCALE)) for p in paths])
    np.save(tmp_path / "faces.npy", faces)
    words = [sys.executable, "-c", TOP1, str(INT8), str(tmp_path / "faces.npy")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [EXPRESSIONS[int(line)] for line in done.stdout.split()]


def test_the_score_equals_an_independent_count(test_split: Path, tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    outcome = run("emo-bench", "accuracy", INT8, "--data", test_split, "--json", out)
    assert_done(outcome)
    paths = sorted((test_split / "test").rglob("*.png"))
    answers = top1_without_us(paths, tmp_path)
    hits = [answer == path.parent.name for answer, path in zip(answers, paths, strict=True)]
    written = json.loads(out.read_text())
    assert (written["schema"], written["kind"]) == (1, "accuracy")
    (result,) = written["results"]
    assert result["images"] == len(paths) == 80
    assert result["top1"] == round(sum(hits) / 80, 4)
    assert result["top1_interval"][0] < result["top1"] < result["top1_interval"][1]
    for label in EXPRESSIONS:
        own = [hit for hit, path in zip(hits, paths, strict=True) if path.parent.name == label]
        assert result["recall"][label] == round(sum(own) / 16, 4)
    assert f"{sum(hits) / 80:.1%}" in outcome.stdout


def test_a_result_says_what_was_scored_on_what(test_split: Path, tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    assert_done(run("emo-bench", "accuracy", INT8, "--data", test_split, "--json", out))
    (result,) = json.loads(out.read_text())["results"]
    assert result["sha256"] == sha256(INT8.read_bytes())
    assert result["protocol"] == {"scored_on": "test split", "crops": "single"}
    assert result["runtime"].startswith("tflite_runtime")


def plain(folder: Path) -> Path:
    """Return a model without metadata."""
    path = folder / "plain.tflite"
    path.write_bytes(read_model(INT8).flatbuffer)
    return path


def garbage(folder: Path) -> Path:
    path = folder / "garbage.tflite"
    path.write_bytes(b"garbage")
    return path


@pytest.mark.parametrize(
    ("make", "code", "word"),
    [(plain, 2, "carries no emo-toolkit metadata"), (garbage, 4, "is not a .tflite model")],
)
def test_a_model_that_cannot_be_scored_does_not_stop_the_others(
    test_split: Path, tmp_path: Path, make: Callable[[Path], Path], code: int, word: str
) -> None:
    outcome = run("emo-bench", "accuracy", make(tmp_path), INT8, "--data", test_split)
    assert_refused(outcome, code, word)
    assert INT8.name in outcome.stdout


def test_pictures_of_other_classes_are_refused(tmp_path: Path) -> None:
    draw_faces(tmp_path / "test" / "bored", 2)
    outcome = run("emo-bench", "accuracy", INT8, "--data", tmp_path)
    assert_refused(outcome, 3, "bored")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    outcome = run("emo-bench", "accuracy", INT8, "--data", tmp_path / "nowhere")
    assert_refused(outcome, 3, "does not exist")


def fer2013(folder: Path) -> Path:
    """Write 5 rows that score by FER labels; of them 2 have a FER+ majority."""
    folder.mkdir()
    pixels = [cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in draw_faces(folder / "faces", 6)]
    usages = ["Training"] + 5 * ["PrivateTest"]
    rows = [
        f"{number},{' '.join(map(str, np.asarray(face).ravel()))},{usage}"
        for number, (face, usage) in enumerate(zip(pixels, usages, strict=True))
    ]
    (folder / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]))
    majority, split = "0,9,0,0,0,0,0,0,0,0", "5,5,0,0,0,0,0,0,0,0"
    votes = [majority, majority, split, majority, split, split]
    (folder / "fer2013new.csv").write_text("\n".join([",".join(VOTE_COLUMNS), *votes]))
    return folder


def untrained(path: Path, labels: tuple[str, ...]) -> Path:
    """Write a model file that answers something for these labels."""
    import keras
    import tensorflow as tf

    inputs = keras.Input((48, 48, 1), batch_size=1)
    outputs = keras.layers.Dense(len(labels))(keras.layers.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, outputs)
    model.export(path.with_suffix(""), format="tf_saved_model", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(path.with_suffix("")))
    path.write_bytes(pack(converter.convert(), ModelSpec(labels, 48, 48)))
    return path


@pytest.mark.parametrize(
    ("labels", "images", "scored_on"),
    [
        (FER_LABELS, 5, "FER2013 PrivateTest (fer)"),
        (FERPLUS_LABELS, 2, "FER2013 PrivateTest (ferplus)"),
    ],
    ids=["fer", "ferplus"],
)
def test_a_fer2013_folder_is_scored_by_the_labels_of_the_model(
    tmp_path: Path, labels: tuple[str, ...], images: int, scored_on: str
) -> None:
    from emo_bench.cli import app

    model, out = untrained(tmp_path / "model.tflite", labels), tmp_path / "accuracy.json"
    data = fer2013(tmp_path / "fer2013")
    assert_done(call(app, "accuracy", model, "--data", data, "--json", out))
    result: dict[str, Any] = json.loads(out.read_text())["results"][0]
    assert result["images"] == images
    assert result["protocol"]["scored_on"] == scored_on


def test_a_fer2013_folder_needs_a_model_with_its_labels(tmp_path: Path) -> None:
    outcome = run("emo-bench", "accuracy", INT8, "--data", fer2013(tmp_path / "fer2013"))
    assert_refused(outcome, 2, "surprised", "not those of FER2013")
