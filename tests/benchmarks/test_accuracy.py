from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emo_bench.accuracy.corruptions import CORRUPTIONS
from emo_bench.accuracy.paired import drop, unpack_hits
from emo_bench.cli import app
from emo_bench.views.accuracy import grids
from emo_edge.artifacts import sha256
from emo_edge.modelfile import pack, read_model
from emo_edge.spec import ModelSpec
from emo_train.data.fer2013 import FER_LABELS, FERPLUS_LABELS, VOTE_COLUMNS
from emo_train.synthetic import EXPRESSIONS, write_dataset
from running import ASSETS, assert_done, assert_refused, call, draw_faces, run

TWO = np.zeros((2, 48, 48), np.uint8)
INT8, FLOAT32 = ASSETS / "drawn-int8.tflite", ASSETS / "drawn-float32.tflite"

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
    protocol = result["protocol"]
    assert (protocol["scored_on"], protocol["crops"]) == ("test split", "single")
    assert protocol["input"] == [48, 48, "grey"]
    assert protocol["copies_looked_for_in"] == "the training split of the data"
    assert result["runtime"].startswith("tflite_runtime")


def test_where_no_training_face_is_known_none_is_counted(test_split: Path, tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    options = ("--data", test_split / "test", "--json", out)
    assert_done(call(app, "accuracy", INT8, *options))
    (result,) = json.loads(out.read_text())["results"]
    assert result["protocol"]["copies_looked_for_in"] is None
    assert "training_copies" not in result


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


def test_a_plain_model_is_scored_with_labels_given(test_split: Path, tmp_path: Path) -> None:
    labels, out = tmp_path / "labels.txt", tmp_path / "accuracy.json"
    labels.write_text("\n".join(EXPRESSIONS))
    given = ("--model-labels", labels, "--input-range", "0", "255")
    options = ("--data", test_split, "--json", out)
    assert_done(run("emo-bench", "accuracy", INT8, plain(tmp_path), *given, *options))
    ours, theirs = json.loads(out.read_text())["results"]
    assert theirs["hits"] == ours["hits"]
    against = theirs["against_first"]
    assert (against["model"], against["drop"], against["mcnemar_p"]) == (INT8.name, 0.0, 1.0)
    # Bonett & Price claim no certainty where no two answers differ
    assert against["drop_interval"][0] < 0 < against["drop_interval"][1]


def test_models_are_compared_pairwise_with_the_first(test_split: Path, tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    options = ("--data", test_split, "--backend", "tflite_runtime", "--json", out)
    assert_done(run("emo-bench", "accuracy", INT8, FLOAT32, *options))
    int8, float32 = json.loads(out.read_text())["results"]
    assert "against_first" not in int8
    assert int8["faces_sha256"] == float32["faces_sha256"]
    hits = [unpack_hits(result) for result in (int8, float32)]
    assert [hit.mean() for hit in hits] == [int8["top1"], float32["top1"]]
    assert float32["against_first"]["drop"] == pytest.approx(
        100 * (int8["top1"] - float32["top1"]), abs=0.01
    )


def test_the_model_that_others_are_held_against_is_named(test_split: Path, tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    options = ("--data", test_split, "--json", out)
    outcome = call(app, "accuracy", garbage(tmp_path), FLOAT32, INT8, *options)
    assert_refused(outcome, 4)
    (table, *_) = grids(json.loads(out.read_text())["results"])
    assert f"drop against {FLOAT32.name}, points" in table.columns


def test_what_a_single_model_carries_is_not_said_again(test_split: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(EXPRESSIONS))
    for given in (("--model-labels", labels), ("--input-range", "0", "255")):
        outcome = call(app, "accuracy", INT8, "--data", test_split, *given)
        assert_refused(outcome, 2, "carries its own labels and input range")


def test_no_more_than_all_points_can_be_lost() -> None:
    right, wrong = np.ones(1, bool), np.zeros(1, bool)
    assert drop(right, wrong)["drop_interval"][1] == 100
    assert drop(wrong, right)["drop_interval"][0] == -100


def test_a_file_name_need_not_be_utf8(tmp_path: Path) -> None:
    (path,) = draw_faces(tmp_path / "faces" / "test" / "happy", 1)
    path.rename(os.fsdecode(os.fsencode(path.parent) + b"/caf\xe9.png"))
    assert scored(INT8, tmp_path / "faces", tmp_path / "a.json")["images"] == 1


def test_robustness_is_scored_against_the_clean_faces(test_split: Path, tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    options = ("--data", test_split, "--robustness", "--json", out)
    outcome = run("emo-bench", "accuracy", INT8, *options)
    assert_done(outcome)
    (result,) = json.loads(out.read_text())["results"]
    assert [row["corruption"] for row in result["robustness"]] == list(CORRUPTIONS)
    for row in result["robustness"]:
        assert row["drop"] == pytest.approx(100 * (result["top1"] - row["top1"]), abs=0.011)
        assert row["drop_interval"][0] < row["drop"] < row["drop_interval"][1]
        assert row["corruption"] in outcome.stdout


def test_faces_are_scored_as_detectors_cut_them(test_split: Path, tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    options = ("--data", test_split, "--crop-margins", "--json", out)
    outcome = run("emo-bench", "accuracy", INT8, *options)
    assert_done(outcome)
    (result,) = json.loads(out.read_text())["results"]
    haar = next(part for part in result["crop_margins"] if part["detector"] == "haar")
    assert haar["faces"] == result["images"]
    assert haar["found"] > 0.5 * haar["faces"]
    top1 = {row["margin"]: row["top1"] for row in haar["margins"]}
    assert top1[0.0] > result["top1"] - 0.15  # the crops that the net learned from
    assert top1[0.0] > top1[0.2]
    assert f"{haar['found']} of {haar['faces']}" in outcome.stdout


def test_copies_of_training_faces_are_scored_apart(test_split: Path, tmp_path: Path) -> None:
    shutil.copytree(test_split / "test", tmp_path / "faces")
    shutil.copytree(test_split / "train", tmp_path / "training")
    copied = sorted((tmp_path / "faces" / "happy").glob("*.png"))[:3]
    for path in copied:
        shutil.copy(path, tmp_path / "training" / "happy")
    out = tmp_path / "accuracy.json"
    options = ("--data", tmp_path / "faces", "--training", tmp_path / "training", "--json", out)
    outcome = run("emo-bench", "accuracy", INT8, *options)
    assert_done(outcome)
    assert "3 of these faces are copies of training faces" in outcome.stderr
    (result,) = json.loads(out.read_text())["results"]
    parts = result["training_copies"]
    assert (parts["copies"]["images"], parts["others"]["images"]) == (3, 77)
    hits = parts["copies"]["top1"] * 3 + parts["others"]["top1"] * 77
    assert hits / 80 == pytest.approx(result["top1"], abs=1e-3)


def test_pictures_of_other_classes_are_refused(tmp_path: Path) -> None:
    draw_faces(tmp_path / "test" / "bored", 2)
    outcome = run("emo-bench", "accuracy", INT8, "--data", tmp_path)
    assert_refused(outcome, 3, "bored")


@pytest.mark.parametrize("labels", ["auto", "ferplus"])
def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, labels: str) -> None:
    options = ("--data", tmp_path / "nowhere", "--labels", labels)
    assert_refused(call(app, "accuracy", INT8, *options), 3, "does not exist")


def test_training_faces_that_are_not_there_are_refused(test_split: Path, tmp_path: Path) -> None:
    options = ("--data", test_split, "--training", tmp_path / "nosuch")
    assert_refused(run("emo-bench", "accuracy", INT8, *options), 3, "nosuch does not exist")


def test_a_single_array_is_no_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "faces.npy", np.zeros((2, 48, 48), np.uint8))
    outcome = run("emo-bench", "accuracy", INT8, "--data", tmp_path / "faces.npy")
    assert_refused(outcome, 3, "cannot read faces", "faces.npy")


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
    model, out = untrained(tmp_path / "model.tflite", labels), tmp_path / "accuracy.json"
    data = fer2013(tmp_path / "fer2013")
    assert_done(call(app, "accuracy", model, "--data", data, "--json", out))
    result: dict[str, Any] = json.loads(out.read_text())["results"][0]
    assert result["images"] == images
    assert result["protocol"]["scored_on"] == scored_on


def test_a_fer2013_folder_needs_a_model_with_its_labels(tmp_path: Path) -> None:
    outcome = run("emo-bench", "accuracy", INT8, "--data", fer2013(tmp_path / "fer2013"))
    assert_refused(outcome, 2, "surprised", "not those of FER2013")


def npz(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.fixture
def fer_npz(tmp_path: Path) -> Path:
    """Return FER2013 as .npz: 6 faces, of which 3 have a FER+ majority; 2 are in training.npz."""
    pictures = [cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in draw_faces(tmp_path / "p", 8)]
    images = np.stack([np.asarray(picture) for picture in pictures])
    votes = np.zeros((6, 10), np.uint8)
    votes[:3, 1], votes[3:, 0], votes[3:, 1] = 9, 5, 5
    npz(tmp_path / "training.npz", images=images[4:], labels=np.zeros(4, np.uint8))
    return npz(
        tmp_path / "publictest.npz",
        images=images[:6],
        labels=np.array([3, 3, 3, 0, 1, 6], np.uint8),
        ferplus=votes,
        row=np.arange(100, 106),
    )


@pytest.mark.parametrize(
    ("options", "labels", "images", "copies"),
    [
        ((), FERPLUS_LABELS, 3, 0),
        (("--labels", "ferplus"), FERPLUS_LABELS, 3, 0),
        ((), FER_LABELS, 6, 2),
        (("--labels", "fer"), tuple(sorted(FER_LABELS)), 6, 2),
    ],
)
def test_fer2013_as_npz_is_scored_by_the_protocol_of_its_labels(
    fer_npz: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    labels: tuple[str, ...],
    images: int,
    copies: int,
) -> None:
    model, out = untrained(tmp_path / "model.tflite", labels), tmp_path / "accuracy.json"
    assert_done(call(app, "accuracy", model, "--data", fer_npz, *options, "--json", out))
    (result,) = json.loads(out.read_text())["results"]
    assert result["images"] == images
    assert result["training_copies"]["copies"]["images"] == copies
    assert result["protocol"]["copies_looked_for_in"] == "training.npz"
    counts = dict(zip(result["labels"], map(sum, result["confusion"]), strict=True))
    assert counts["happy"] == 3


def test_votes_are_of_fer2013_whatever_is_named_beside_them(
    fer_npz: Path, ferplus_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(FERPLUS_LABELS))
    result = scored(ferplus_model, fer_npz, tmp_path / "a.json", "--labels", "ferplus")
    assert result["protocol"]["scored_on"] == "publictest.npz (ferplus)"
    assert result["images"] == 3


def test_any_npz_that_training_reads_is_scored(tmp_path: Path) -> None:
    pictures = [cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in draw_faces(tmp_path / "p", 5)]
    faces = np.stack([np.asarray(picture) for picture in pictures])
    names = np.array(EXPRESSIONS)
    data = npz(tmp_path / "faces.npz", x_test=faces, y_test=np.arange(5), class_names=names)
    out = tmp_path / "accuracy.json"
    assert_done(run("emo-bench", "accuracy", INT8, "--data", data, "--json", out))
    assert json.loads(out.read_text())["results"][0]["images"] == 5


def labelled(split: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the test pictures uint8[N,48,48] of class folders and their labels as texts."""
    paths = sorted((split / "test").rglob("*.png"))
    pictures = [np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)) for path in paths]
    return np.stack(pictures), np.array([path.parent.name for path in paths])


def scored(model: Path, data: Path, out: Path, *options: str | Path) -> dict[str, Any]:
    """Return the result of scoring one model."""
    assert_done(call(app, "accuracy", model, "--data", data, "--json", out, *options))
    (result,) = json.loads(out.read_text())["results"]
    return dict(result)


BACKWARDS = tuple(reversed(EXPRESSIONS))


def named_in_file(folder: Path, names: tuple[str, ...]) -> dict[str, Any]:
    return {"class_names": np.array(names)}


def named_beside(folder: Path, names: tuple[str, ...]) -> dict[str, Any]:
    (folder / "labels.txt").write_text("\n".join(names))
    return {}


@pytest.mark.parametrize("named", [named_in_file, named_beside])
@pytest.mark.parametrize("names", [tuple(EXPRESSIONS), BACKWARDS], ids=["same", "other order"])
def test_named_classes_of_an_npz_are_those_of_the_model_in_whatever_order(
    test_split: Path,
    tmp_path: Path,
    named: Callable[[Path, tuple[str, ...]], dict[str, Any]],
    names: tuple[str, ...],
) -> None:
    images, labels = labelled(test_split)
    numbers = np.array([names.index(label) for label in labels])
    data = npz(tmp_path / "faces.npz", images=images, labels=numbers, **named(tmp_path, names))
    result, expected = (scored(INT8, d, tmp_path / "a.json") for d in (data, test_split))
    assert (result["top1"], result["recall"]) == (expected["top1"], expected["recall"])


def test_an_npz_whose_labels_are_texts_is_scored_by_them(test_split: Path, tmp_path: Path) -> None:
    images, labels = labelled(test_split)
    data = npz(tmp_path / "faces.npz", images=images, labels=labels)
    result, expected = (scored(INT8, d, tmp_path / "a.json") for d in (data, test_split))
    assert (result["top1"], result["recall"]) == (expected["top1"], expected["recall"])


def test_classes_without_names_are_those_of_a_model_that_has_none(tmp_path: Path) -> None:
    model = tmp_path / "numbers.tflite"
    model.write_bytes(pack(read_model(INT8).flatbuffer, ModelSpec(tuple("01234"), 48, 48)))
    data = npz(tmp_path / "faces.npz", images=TWO, labels=np.array([0, 4]))
    assert scored(model, data, tmp_path / "a.json")["images"] == 2


def run_of(folder: Path, split: Path, labels: tuple[str, ...] | None, **more: Any) -> Path:
    """Write the evaluation faces of a run of these labels; None leaves no spec beside them."""
    images, names = labelled(split)
    order = tuple(EXPRESSIONS) if labels is None else labels
    if labels is not None:
        (folder / "spec.json").write_text(json.dumps(ModelSpec(labels, 48, 48).to_json()))
    truth = np.array([order.index(name) for name in names])
    return npz(folder / "evaluation.npz", pixels=images[..., None], truth=truth, **more)


@pytest.mark.parametrize("labels", [tuple(EXPRESSIONS), BACKWARDS], ids=["same", "other order"])
def test_the_faces_of_a_run_are_of_the_classes_that_its_spec_says(
    test_split: Path, tmp_path: Path, labels: tuple[str, ...]
) -> None:
    data = run_of(tmp_path, test_split, labels)
    result, expected = (scored(INT8, d, tmp_path / "a.json") for d in (data, test_split))
    assert (result["top1"], result["recall"]) == (expected["top1"], expected["recall"])


def test_the_faces_of_a_run_of_other_classes_do_not_score(test_split: Path, tmp_path: Path) -> None:
    data = run_of(tmp_path, test_split, (*EXPRESSIONS, "bored"))
    assert_refused(call(app, "accuracy", INT8, "--data", data), 2, "not those of the run", "bored")


def test_where_no_spec_says_the_classes_the_order_taken_is_told(
    test_split: Path, tmp_path: Path
) -> None:
    ended = call(app, "accuracy", INT8, "--data", run_of(tmp_path, test_split, None))
    assert_done(ended)
    assert "in the model's order" in ended.stderr


def test_names_that_are_not_one_of_each_face_are_refused(test_split: Path, tmp_path: Path) -> None:
    data = run_of(tmp_path, test_split, tuple(EXPRESSIONS), names=np.array(["a", "b"]))
    assert_refused(call(app, "accuracy", INT8, "--data", data), 3, "`names` has the shape (2,)")


@pytest.mark.parametrize("row", [[1], [[1], [2]]])
def test_rows_that_are_not_one_of_each_face_are_refused(
    ferplus_model: Path, tmp_path: Path, row: list[object]
) -> None:
    votes = np.eye(10, dtype=np.uint8)[:2] * 10
    data = npz(tmp_path / "publictest.npz", images=TWO, ferplus=votes, row=row)
    assert_refused(call(app, "accuracy", ferplus_model, "--data", data), 3, "`row` has the shape")


def npz_beside_training(folder: Path, training: dict[str, Any]) -> tuple[Path, Path]:
    """Write five faces that score, and training.npz beside them."""
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48), np.uint8)
    arrays = {name: faces[:2] / 255 if name == "x_train" else a for name, a in training.items()}
    names = np.array(EXPRESSIONS)
    data = npz(folder / "faces.npz", x_test=faces, y_test=np.arange(5), class_names=names)
    return data, npz(folder / "training.npz", **arrays)


def test_training_faces_are_read_as_training_reads_them(tmp_path: Path) -> None:
    arrays = {"x_train": None, "y_train": np.array([0, 1])}
    data, _ = npz_beside_training(tmp_path, arrays)
    parts = scored(INT8, data, tmp_path / "a.json")["training_copies"]
    assert (parts["copies"]["images"], parts["others"]["images"]) == (2, 3)


def test_unreadable_training_faces_matter_only_to_who_asked_for_them(tmp_path: Path) -> None:
    data, training = npz_beside_training(tmp_path, {"other": np.zeros(3)})
    ended = call(app, "accuracy", INT8, "--data", data, "--json", tmp_path / "a.json")
    assert_done(ended)
    assert "copies of training faces are not looked for" in ended.stderr
    (result,) = json.loads((tmp_path / "a.json").read_text())["results"]
    assert result["protocol"]["copies_looked_for_in"] is None
    asked = call(app, "accuracy", INT8, "--data", data, "--training", training)
    assert_refused(asked, 3, "training.npz holds other")


def test_faces_that_are_all_copies_are_told(test_split: Path, tmp_path: Path) -> None:
    faces = test_split / "test"
    ended = call(app, "accuracy", INT8, "--data", faces, "--training", faces)
    assert_done(ended)
    assert "all of these faces are copies of training faces" in ended.stderr


def test_coloured_copies_are_found_in_an_npz_of_training_faces(tmp_path: Path) -> None:
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 3)).astype(np.uint8)
    names = np.array(EXPRESSIONS)
    data = npz(tmp_path / "faces.npz", x_test=faces, y_test=np.arange(5), class_names=names)
    npz(tmp_path / "training.npz", images=faces[:2])
    out = tmp_path / "accuracy.json"
    assert_done(run("emo-bench", "accuracy", INT8, "--data", data, "--json", out))
    copies = json.loads(out.read_text())["results"][0]["training_copies"]
    assert (copies["copies"]["images"], copies["others"]["images"]) == (2, 3)


@pytest.fixture(scope="module")
def fer_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("fer") / "model.tflite", FER_LABELS)


@pytest.fixture(scope="module")
def ferplus_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("ferplus") / "model.tflite", FERPLUS_LABELS)


@pytest.mark.parametrize("labels", [[3, -1], [3, 7], [[3], [3]]])
def test_labels_that_are_not_those_of_fer2013_are_refused(
    fer_model: Path, tmp_path: Path, labels: list[object]
) -> None:
    data = npz(tmp_path / "publictest.npz", images=TWO, labels=labels)
    outcome = call(app, "accuracy", fer_model, "--data", data)
    assert_refused(outcome, 3, "not those of FER2013")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, ["publictest.npz", "cannot read"]),
        ({"images": np.zeros((2, 48, 48), np.float32)}, ["expected images and labels"]),
        ({"images": TWO}, ["has no ferplus"]),
        ({"images": TWO, "ferplus": np.zeros((2, 5), np.uint8)}, ["FER+ votes are uint8(2, 5)"]),
        ({"images": TWO, "ferplus": np.zeros((2, 10), np.uint8)}, ["no face that scores"]),
        ({"images": np.zeros((2, 48, 48, 2), np.uint8)}, ["2 channels"]),
        ({"pixels": TWO[..., None]}, ["not labelled"]),
        ({"pixels": TWO[..., None], "truth": [0, -1]}, ["not labelled"]),
        ({"pixels": TWO[..., None], "truth": [0, 8]}, ["not labelled"]),
        ({"pixels": TWO[..., None], "truth": ["happy", "sad"]}, ["not labelled"]),
        ({"pixels": TWO[:0, ..., None], "truth": np.zeros(0, int)}, ["no face that scores"]),
        ({"pixels": np.zeros((2, 32, 32, 1), np.uint8)}, ["no `pixels` uint8[N,48,48"]),
    ],
)
def test_an_npz_that_cannot_score_is_refused(
    ferplus_model: Path, tmp_path: Path, arrays: dict[str, object], words: list[str]
) -> None:
    path = tmp_path / "publictest.npz"
    path.write_bytes(b"no archive")
    if arrays:
        npz(path, **arrays)
    outcome = call(app, "accuracy", ferplus_model, "--data", path)
    assert_refused(outcome, 3, *words)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--labels", "other"), 2, ["unknown --labels 'other'"]),
        (("--labels", "ferplus"), 2, ["chooses among FER2013's"]),
        (("--backend", "other"), 2, ["unknown backend"]),
    ],
)
def test_options_that_do_not_fit_are_refused(
    test_split: Path, options: tuple[str, ...], code: int, words: list[str]
) -> None:
    assert_refused(run("emo-bench", "accuracy", INT8, "--data", test_split, *options), code, *words)


@pytest.fixture(scope="module")
def keras_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """Return a run folder as emo-train leaves it, of an untrained net, and that net's top-1."""
    import keras

    folder = tmp_path_factory.mktemp("runs") / "mine"
    folder.mkdir()
    keras.utils.set_random_seed(3)
    inputs = keras.Input((48, 48, 1))
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Rescaling(1 / 255)(x)))
    model.save(folder / "model.keras")
    spec = ModelSpec(("happy", "sad"), 48, 48)
    (folder / "spec.json").write_text(json.dumps(spec.to_json()))
    paths = draw_faces(folder / "faces", 20)
    pixels = np.stack([np.asarray(cv2.imread(str(p), cv2.IMREAD_GRAYSCALE)) for p in paths])
    truth = np.arange(20) % 2
    npz(folder / "evaluation.npz", pixels=pixels[..., None], truth=truth, split="test")
    answers = model.predict(pixels[..., None].astype(np.float32), verbose=0).argmax(axis=1)
    return folder, float((answers == truth).mean())


def test_a_run_folder_is_scored_as_keras(keras_run: tuple[Path, float], tmp_path: Path) -> None:
    folder, top1 = keras_run
    out = tmp_path / "accuracy.json"
    data = folder / "evaluation.npz"
    assert_done(run("emo-bench", "accuracy", folder, "--data", data, "--json", out))
    (result,) = json.loads(out.read_text())["results"]
    assert (result["model"], result["images"], result["top1"]) == ("mine", 20, top1)
    assert result["runtime"].startswith("keras 3")
    assert result["protocol"]["scored_on"] == "test split"


def trained(digest: str, *, keep: bool = False) -> ModelSpec:
    """Return a spec as emo-train leaves it: `digest` is of the splits, copies kept or not."""
    recipe = {"seed": 0, "keep_duplicates": keep}
    training = {"recipe": recipe, "metrics": {"data": {"sha256": digest}}}
    return ModelSpec(tuple(EXPRESSIONS), 48, 48, training=training)


@pytest.mark.parametrize(
    ("run_of", "name", "looked_in"),
    [
        (trained("a"), "evaluation.npz", "the training split of the run"),
        (trained("a", keep=True), "evaluation.npz", None),
        (trained("b"), "evaluation.npz", None),
        (None, "evaluation.npz", None),
        (trained("a"), "calibration.npz", None),
    ],
    ids=["its own", "copies kept", "of another run", "of no run", "training faces"],
)
def test_a_run_took_out_the_copies_of_its_own_training_faces_alone(
    tmp_path: Path, run_of: ModelSpec | None, name: str, looked_in: str | None
) -> None:
    if run_of is not None:
        (tmp_path / "spec.json").write_text(json.dumps(run_of.to_json()))
    data = npz(tmp_path / name, pixels=TWO[..., None], truth=[0, 1])
    model, out = tmp_path / "model.tflite", tmp_path / "accuracy.json"
    model.write_bytes(pack(read_model(INT8).flatbuffer, trained("a")))
    assert_done(call(app, "accuracy", model, "--data", data, "--json", out))
    (result,) = json.loads(out.read_text())["results"]
    assert result["protocol"]["copies_looked_for_in"] == looked_in
    assert ("training_copies" in result) == (looked_in is not None)


def test_a_keras_model_of_elsewhere_needs_labels(
    keras_run: tuple[Path, float], tmp_path: Path
) -> None:
    folder, top1 = keras_run
    model, labels = tmp_path / "elsewhere.keras", tmp_path / "labels.txt"
    shutil.copy(folder / "model.keras", model)
    labels.write_text("happy\nsad\n")
    data = folder / "evaluation.npz"
    assert_refused(run("emo-bench", "accuracy", model, "--data", data), 2, "--model-labels")
    out = tmp_path / "accuracy.json"
    given = ("--model-labels", labels, "--json", out)
    assert_done(run("emo-bench", "accuracy", model, "--data", data, *given))
    assert json.loads(out.read_text())["results"][0]["top1"] == top1


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    assert_refused(run("emo-bench", "accuracy", tmp_path, "--data", tmp_path), 3, "spec.json")
