from __future__ import annotations

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from emo_train.cli import app
from emo_train.distillation import DistillationLoss, joined
from running import assert_done, assert_refused, call

TINY = ("--architecture", "plain-micro", "--batch-size", "8", "--epochs", "1")
LABELS = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
TEACHER = np.array([[2, -1], [0.5, 1], [-1, 1]], np.float32)
STUDENT = np.array([[1, 0], [0, 0], [3, -1]], np.float32)


def loss_of(loss: DistillationLoss, targets: np.ndarray) -> float:
    return float(keras.ops.convert_to_numpy(loss(targets, STUDENT)))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def test_the_loss_is_that_of_the_paper() -> None:
    p, q = softmax(TEACHER / 3), softmax(STUDENT / 3)
    divergence = (p * np.log(p / q)).sum(axis=1).mean()
    labels = -np.log(softmax(STUDENT)[LABELS == 1]).mean()
    loss = DistillationLoss(2, temperature=3.0, weight=0.75, label_smoothing=0.0)
    expected = 0.25 * labels + 0.75 * 9 * divergence
    assert loss_of(loss, joined(LABELS, TEACHER, 3.0)) == pytest.approx(expected, rel=1e-5)


def test_without_a_teacher_the_labels_are_the_loss() -> None:
    loss = DistillationLoss(2, temperature=3.0, weight=0.75, label_smoothing=0.1)
    plain = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    expected = float(keras.ops.convert_to_numpy(plain(LABELS, STUDENT)))
    assert loss_of(loss, LABELS) == pytest.approx(expected, rel=1e-5)


def test_features_are_told_beside_the_answers() -> None:
    features = np.array([[1, 7, 5], [2, 7, 6], [3, 7, 1]], np.float32)
    told = np.array([[0.5, 0, 0], [0, 0, 0.25], [0, 0, 0]], np.float32)
    loss = DistillationLoss(2, 3.0, weight=0.75, label_smoothing=0.0, feature_weight=0.5)
    plain = loss_of(loss, joined(LABELS, TEACHER, 3.0))
    # Of mean 0 and deviation 1; one that is the same for all faces stays 0.
    wanted = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-3)
    given = joined(LABELS, TEACHER, 3.0, features)
    found = loss(given, np.concatenate([STUDENT, told], axis=1))
    missed = ((wanted - told) ** 2).mean()
    expected = plain + 0.5 * missed
    assert float(keras.ops.convert_to_numpy(found)) == pytest.approx(expected, rel=1e-5)


def test_a_student_learns_the_features_of_one_teacher(
    tmp_path: Path, drawn: Path, run_folder: Path, cached: Path
) -> None:
    file = tmp_path / "features.npz"
    assert_done(call(app, "logits", run_folder, "--out", file, "--no-flip", "--features"))
    model = keras.saving.load_model(run_folder / "model.keras", compile=False)
    kernel, bias = model.layers[-1].get_weights()
    temperature = json.loads((run_folder / "spec.json").read_text())["temperature"]
    with np.load(file) as kept, np.load(cached) as other:
        assert kept["features"].dtype == np.float16
        answers = kept["features"].astype(np.float32) @ kernel + bias
        np.testing.assert_allclose(answers / temperature, kept["logits"], rtol=0.02, atol=0.02)
        np.testing.assert_array_equal(kept["logits"], other["logits"])
    out, weight = tmp_path / "student", ("--feature-weight", "1")
    given = ("--data", drawn, *TINY, *weight)
    assert_done(call(app, *given, "--out", out, "--teacher", file, "--teacher", cached))
    student = keras.saving.load_model(out / "model.keras", compile=False)
    assert student.output_shape == (None, 2)
    assert_done(call(app, "logits", out, "--out", tmp_path / "next.npz"))  # a run like any
    refused = call(app, *given, "--out", tmp_path / "without", "--teacher", cached)
    assert_refused(refused, 3, "no teacher brings features", "emo-train logits RUN --features")
    several = ("--teacher", file, "--teacher", file)
    refused = call(app, *given, "--out", tmp_path / "several", *several)
    assert_refused(refused, 3, "several teachers bring features")
    refused = call(app, "logits", out, run_folder, "--features", "--out", tmp_path / "two.npz")
    assert_refused(refused, 2, "--features are those of one RUN")


def write_logits(path: Path, like: Path, **changes: object) -> Path:
    with np.load(like) as file:
        np.savez(path, **{**file, **changes})
    return path


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "teacher.npz"
    assert_done(call(app, "logits", run_folder, run_folder, "--out", path, "--no-flip"))
    return path


def test_a_logits_file_holds_what_the_calibrated_runs_answer_to_training_faces(
    cached: Path, run_folder: Path
) -> None:
    with np.load(cached) as file:
        assert file["logits"].dtype == np.float16
        assert file["logits"].shape == (54, 2)
        assert list(file["labels"]) == ["happy", "sad"]
        assert list(file["sources"]) == [run_folder.name] * 2
        # All training faces of so small a set calibrate: they come in the same order.
        calibration = np.load(run_folder / "calibration.npz")
        model = keras.saving.load_model(run_folder / "model.keras", compile=False)
        answers = model.predict(calibration["pixels"], verbose=0)
        temperature = json.loads((run_folder / "spec.json").read_text())["temperature"]
        np.testing.assert_allclose(file["logits"], answers / temperature, rtol=2e-3, atol=2e-3)


def test_a_student_learns_from_a_file_and_a_run(
    tmp_path: Path, drawn: Path, run_folder: Path, cached: Path
) -> None:
    # By the teachers alone: the true labels are hidden from it.
    options = ("--architecture", "plain-micro", "--batch-size", "8", "--epochs", "6")
    teachers = ("--teacher", cached, "--teacher", run_folder, "--teacher-weight", "1")
    out = tmp_path / "student"
    assert_done(call(app, "--data", drawn, "--out", out, *options, *teachers))
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["training"]["teachers"] == [run_folder.name] * 3
    taught = json.loads((run_folder / "metrics.json").read_text())["top1"]
    assert metrics["top1"] >= min(taught, 0.9) - 0.15
    assert not (out / "teacher.npz").exists()
    again = ("--config", out / "config.json", "--epochs", "1", "--out", tmp_path / "again")
    assert_done(call(app, *again))
    repeated = json.loads((tmp_path / "again" / "config.json").read_text())
    assert repeated["teachers"] == [str(cached), str(run_folder)]


def test_a_run_is_not_asked_about_faces_that_it_did_not_learn_from(
    tmp_path: Path, run_folder: Path, drawn: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(drawn, moved)
    out = tmp_path / "teacher.npz"
    assert_done(call(app, "logits", run_folder, "--data", moved, "--out", out, "--no-flip"))
    next((moved / "train" / "sad").iterdir()).unlink()
    refused = call(app, "logits", run_folder, "--data", moved, "--out", tmp_path / "other.npz")
    assert_refused(refused, 3, str(moved), "are not those that", str(run_folder))


def test_a_logits_file_never_lies_in_the_data(drawn: Path, run_folder: Path) -> None:
    out = drawn / "teacher.npz"  # emo-train would take the folder for one of arrays
    assert_refused(call(app, "logits", run_folder, "--out", out), 2, str(out), "outside")
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": np.array(["sad", "happy"])}, "knows the classes sad, happy"),
        ({"rows": "0" * 64}, "other training faces"),
        ({"pixels": "0" * 64}, "other training faces"),
        ({"logits": np.zeros((53, 2), np.float16)}, "other training faces"),
    ],
    ids=["classes", "names", "pixels", "count"],
)
def test_answers_to_other_faces_are_refused(
    tmp_path: Path, drawn: Path, cached: Path, changes: dict[str, object], words: str
) -> None:
    other = write_logits(tmp_path / "other.npz", cached, **changes)
    refused = call(app, "--data", drawn, "--out", tmp_path / "run", *TINY, "--teacher", other)
    assert_refused(refused, 3, str(other), words)
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_teacher_with_another_view_of_the_same_faces_is_welcome(
    tmp_path: Path, drawn: Path, cached: Path
) -> None:
    larger = write_logits(
        tmp_path / "rgb.npz", cached, pixels="0" * 64, shape=np.array([96, 96, 3])
    )
    out = tmp_path / "run"
    assert_done(call(app, "--data", drawn, "--out", out, *TINY, "--teacher", larger))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 broken"])
def test_what_is_no_teacher_is_refused(tmp_path: Path, drawn: Path, content: bytes) -> None:
    other = tmp_path / "other.npz"
    other.write_bytes(content)
    refused = call(app, "--data", drawn, "--out", tmp_path / "run", *TINY, "--teacher", other)
    assert_refused(refused, 3, str(other), "neither a finished run nor")


@pytest.mark.parametrize("lost", ["config.json", "model.keras"])
def test_a_run_that_lost_a_file_is_no_teacher(tmp_path: Path, run_folder: Path, lost: str) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    (tmp_path / "run" / lost).write_bytes(b"")
    refused = call(app, "logits", tmp_path / "run", "--out", tmp_path / "teacher.npz")
    assert_refused(refused, 3, str(tmp_path / "run"))


def test_an_unfinished_run_is_no_teacher(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    refused = call(app, "logits", tmp_path / "run", "--out", tmp_path / "teacher.npz")
    assert_refused(refused, 3, "not a finished run")
