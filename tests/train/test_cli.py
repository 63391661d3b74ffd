from __future__ import annotations

import csv
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from emo_edge.contract import prepare, read_image
from emo_edge.spec import ModelSpec
from emo_train.cli import app
from running import assert_done, assert_refused, call, command_line, draw_faces, run

# What emo_edge/runfolder.py promises of a finished run.
RUN_FILES = {
    "config.json",
    "history.csv",
    "model.keras",
    "calibration.npz",
    "evaluation.npz",
    "metrics.json",
    "samples.png",
    "curves.png",
    "confusion.png",
    "classes.png",
    "reliability.png",
    "mistakes.png",
    "report.html",
    "spec.json",
}
TINY = ("--architecture", "plain-micro", "--batch-size", "8")


def read_spec(run_folder: Path) -> ModelSpec:
    return ModelSpec.from_json((run_folder / "spec.json").read_bytes())


def read_json(path: Path) -> dict[str, object]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def epochs_of(run_folder: Path) -> list[int]:
    with (run_folder / "history.csv").open(newline="") as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


def weights_of(run_folder: Path) -> list[NDArray[np.float32]]:
    model = keras.saving.load_model(run_folder / "model.keras", compile=False)
    return list(model.get_weights())


def prepared(spec: ModelSpec, folder: Path) -> set[bytes]:
    return {prepare(read_image(path), spec).tobytes() for path in folder.rglob("*.png")}


def faces_in(archive: Path) -> set[bytes]:
    return {face.tobytes() for face in np.load(archive)["pixels"]}


def test_a_run_leaves_the_documented_files_and_no_other(run_folder: Path) -> None:
    assert {path.name for path in run_folder.iterdir()} == RUN_FILES


def test_the_spec_is_the_contract_that_was_asked_for(run_folder: Path) -> None:
    spec = read_spec(run_folder)
    assert spec.labels == ("happy", "sad")
    assert spec.input_shape == (1, 48, 48, 1)
    assert (spec.output, spec.input_range, spec.threshold) == ("logits", (0.0, 255.0), 0.625)
    assert spec.training["metrics"] == read_json(run_folder / "metrics.json")
    assert spec.training["recipe"] == read_json(run_folder / "config.json")["recipe"]


def test_the_metrics_say_how_they_came_about(run_folder: Path, drawn: Path) -> None:
    metrics = read_json(run_folder / "metrics.json")
    assert metrics["protocol"] == {
        "selected_on": "validation (best epoch by val_accuracy, temperature)",
        "scored_on": "test",
        "crops": "single",
        "test_time_augmentation": "none",
        "labels": "as in the data",
    }
    data, versions = metrics["data"], metrics["versions"]
    assert isinstance(data, dict)
    assert data["images"] == {"train": 54, "validation": 6, "test": 14}
    assert len(data["sha256"]) == 64
    assert versions.keys() == {"emo-toolkit", "keras", "tensorflow", "python"}


def test_the_metrics_are_those_of_the_model_on_the_evaluation_faces(run_folder: Path) -> None:
    model = keras.saving.load_model(run_folder / "model.keras", compile=False)
    evaluation = np.load(run_folder / "evaluation.npz")
    answers = model.predict(evaluation["pixels"].astype(np.float32), verbose=0).argmax(axis=1)
    hits = int((answers == evaluation["truth"]).sum())
    metrics = read_json(run_folder / "metrics.json")
    assert metrics["images"] == len(evaluation["truth"]) == 14
    assert metrics["top1"] == round(hits / 14, 4)


def test_the_evaluation_faces_are_the_test_split(run_folder: Path, drawn: Path) -> None:
    evaluation, spec = np.load(run_folder / "evaluation.npz"), read_spec(run_folder)
    assert str(evaluation["split"]) == "test"
    assert len(evaluation["names"]) == 14
    for pixels, truth, name in zip(
        evaluation["pixels"], evaluation["truth"], evaluation["names"], strict=True
    ):
        assert Path(name).parts[:2] == ("test", spec.labels[truth])
        np.testing.assert_array_equal(pixels, prepare(read_image(drawn / name), spec)[0])


def test_calibration_faces_come_from_training_alone(run_folder: Path, drawn: Path) -> None:
    calibration = faces_in(run_folder / "calibration.npz")
    assert calibration <= prepared(read_spec(run_folder), drawn / "train")
    assert not calibration & faces_in(run_folder / "evaluation.npz")


def test_every_epoch_is_in_the_history_once(run_folder: Path) -> None:
    assert epochs_of(run_folder) == list(range(12))


@pytest.mark.parametrize(("seed", "same"), [("0", True), ("1", False)])
def test_the_seed_decides_which_faces_train(
    tmp_path: Path, drawn: Path, run_folder: Path, seed: str, same: bool
) -> None:
    again = tmp_path / "again"
    options = (*TINY, "--epochs", "1", "--seed", seed)
    assert_done(call(app, "--data", drawn, "--out", again, *options))
    # All training faces calibrate here: what is missing was carved off for validation.
    first, second = (np.load(folder / "calibration.npz") for folder in (run_folder, again))
    assert np.array_equal(first["pixels"], second["pixels"]) == same
    data = [read_json(folder / "metrics.json")["data"] for folder in (run_folder, again)]
    assert (data[0] == data[1]) == same


def test_one_tree_of_colour_pictures_trains_a_colour_model(tmp_path: Path) -> None:
    for seed, label in enumerate(("angry", "happy", "sad")):
        draw_faces(tmp_path / "data" / label, 8, seed=seed, colour=True)
    out = tmp_path / "deep" / "below" / "run"
    options = (*TINY, "--epochs", "1", "--colour", "rgb", "--input-size", "32")
    options = (*options, "--crop-margin", "0.1")
    assert_done(call(app, "--data", tmp_path / "data", "--out", out, *options))
    spec = read_spec(out)
    assert spec.labels == ("angry", "happy", "sad")
    assert (spec.input_shape, spec.crop_margin) == ((1, 32, 32, 3), 0.1)
    metrics = read_json(out / "metrics.json")
    assert metrics["images"] == 3
    assert metrics["protocol"]["scored_on"] == "test"  # type: ignore[index]


def stop_after(epochs: int, how: signal.Signals, drawn: Path, out: Path, of: int) -> int:
    """Start a training of `of` epochs, stop it by a signal, and return how it ended."""
    options = (*TINY, "--epochs", str(of), "--data", str(drawn), "--out", str(out))
    history = out / "history.csv"
    with subprocess.Popen(command_line("emo-train", *options), stderr=subprocess.PIPE) as training:
        while training.poll() is None:
            if history.exists() and history.read_text().count("\n") > epochs:
                training.send_signal(how)
                break
            time.sleep(0.01)
        training.communicate()
        return training.returncode


@pytest.mark.parametrize(
    ("epochs", "how", "code"),
    [(2, signal.SIGKILL, -signal.SIGKILL), (12, signal.SIGINT, 130)],
    ids=["killed in the middle", "Ctrl-C after the last epoch"],
)
def test_an_interrupted_run_ends_as_one_that_was_not(
    tmp_path: Path, drawn: Path, run_folder: Path, epochs: int, how: signal.Signals, code: int
) -> None:
    out = tmp_path / "run"
    assert stop_after(epochs, how, drawn, out, of=12) == code
    assert not (out / "spec.json").exists()
    again = call(app, "--data", drawn, "--out", out)
    assert_refused(again, 2, "unfinished", f"emo-train --resume {out}")
    assert_done(run("emo-train", "--resume", out))
    assert {path.name for path in out.iterdir()} == RUN_FILES
    for name in ("history.csv", "metrics.json", "spec.json", "confusion.png"):
        assert (out / name).read_bytes() == (run_folder / name).read_bytes()
    for ours, theirs in zip(weights_of(out), weights_of(run_folder), strict=True):
        np.testing.assert_array_equal(ours, theirs)


LOSES_CTRL_C = """
import os, signal
import keras

class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10):  # Python raises here, and drops it: nothing may leave a destructor
            pass

def net(input_shape, classes):
    Dying()
    pixels = keras.Input(input_shape)
    return keras.Model(pixels, keras.layers.Dense(classes)(keras.layers.Flatten()(pixels)))
"""


def test_ctrl_c_is_heard_though_a_destructor_swallowed_it(tmp_path: Path, drawn: Path) -> None:
    (tmp_path / "custom.py").write_text(LOSES_CTRL_C)
    options = ("--architecture", "custom:net", "--input-size", "32", "--epochs", "1")
    words = command_line("emo-train", "--data", drawn, "--out", "run", *options)
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Exception ignored in: <function Dying.__del__" in done.stderr
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr.splitlines()
    assert not (tmp_path / "run" / "history.csv").exists()


def test_a_full_disk_leaves_a_run_that_can_be_resumed(
    tmp_path: Path, drawn: Path, run_folder: Path
) -> None:
    room = (run_folder / "model.keras").stat().st_size - 1  # a model does not fit

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    out = tmp_path / "run"
    words = command_line("emo-train", "--data", drawn, "--out", out, *TINY, "--epochs", "1")
    full = subprocess.run(words, capture_output=True, text=True, check=False, preexec_fn=fill)
    assert_refused(full, 8, f"cannot write {out}")
    assert not list(out.glob(".*"))
    assert_done(call(app, "--resume", out))
    assert {path.name for path in out.iterdir()} == RUN_FILES


def test_the_report_needs_no_other_file(run_folder: Path) -> None:
    page = (run_folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 6
    assert "$" not in page
    assert not re.search(r'(src|href)=(?!"data:)|@import|url\(|https?:', page)
    assert "test split, n = 14; selected on validation" in page


@pytest.mark.parametrize(
    ("backend", "words"),
    [("torch", "torch is not installed"), ("caffe", "tensorflow, jax, torch")],
)
def test_a_backend_that_is_not_there_is_named(
    tmp_path: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch, backend: str, words: str
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    refused = call(app, "--data", drawn, "--out", tmp_path / "run")
    assert_refused(refused, 2, backend, words)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--weights", "nosuch.keras"), "nosuch.keras: no such file"),
        (("--architecture", "nosuch:net"), "cannot import nosuch:net"),
    ],
)
def test_a_slip_in_a_name_leaves_no_run_behind(
    tmp_path: Path, drawn: Path, option: tuple[str, str], words: str
) -> None:
    refused = call(app, "--data", drawn, "--out", tmp_path / "run", *option)
    assert_refused(refused, 2, words)
    assert not (tmp_path / "run").exists()


def test_a_training_goes_on_with_the_first_layers_and_the_last_as_they_were(
    tmp_path: Path, drawn: Path, run_folder: Path
) -> None:
    start = ("--weights", run_folder, "--keep-head", "--frozen-share", "0.5")
    rest = ("--tail-share", "0", "--epochs", "1", "--learning-rate", "1e-6")
    assert_done(call(app, "--data", drawn, "--out", tmp_path / "more", *TINY, *start, *rest))
    before, after = weights_of(run_folder), weights_of(tmp_path / "more")
    model = keras.saving.load_model(tmp_path / "more" / "model.keras", compile=False)
    assert all(layer.trainable for layer in model.layers)
    same = [np.array_equal(ours, theirs) for ours, theirs in zip(before, after, strict=True)]
    assert all(same[: len(same) // 3])
    assert not any(same[-2:])
    np.testing.assert_allclose(after[-2], before[-2], atol=1e-3)  # it was not drawn anew


def test_a_last_layer_for_other_classes_is_not_kept(
    tmp_path: Path, drawn: Path, run_folder: Path
) -> None:
    other = shutil.copytree(run_folder, tmp_path / "other")
    spec = read_json(other / "spec.json")
    spec["labels"] = list(reversed(spec["labels"]))  # type: ignore[call-overload]
    (other / "spec.json").write_text(json.dumps(spec))
    start = ("--data", drawn, "--out", tmp_path / "run", *TINY, "--keep-head", "--weights")
    for weights in (other, other / "model.keras"):
        assert_refused(call(app, *start, weights), 2, "knows", "leave --keep-head away")
        assert not (tmp_path / "run").exists()


def test_a_command_put_right_finds_nothing_in_its_way(
    tmp_path: Path, drawn: Path, run_folder: Path
) -> None:
    out = tmp_path / "run"
    start = ("--data", drawn, "--out", out, "--epochs", "1", "--weights", run_folder)
    wrong = call(app, *start, "--architecture", "plain-small")
    assert_refused(wrong, 2, "are not those of plain-small")
    assert not out.exists()
    alone = shutil.copy(run_folder / "model.keras", tmp_path / "alone.keras")
    right = call(app, *start[:-1], alone, *TINY, "--keep-head")
    assert_done(right)
    assert "alone.keras does not say what its classes are" in right.stderr


def test_a_run_does_not_begin_with_weights_that_saw_what_it_scores(tmp_path: Path) -> None:
    draw_faces(tmp_path / "faces" / "happy", 12, seed=1)
    draw_faces(tmp_path / "faces" / "sad", 12, seed=2)
    data = ("--data", tmp_path / "faces", *TINY, "--epochs", "1")
    assert_done(call(app, *data, "--out", tmp_path / "first"))
    again = (*data, "--out", tmp_path / "again", "--weights", tmp_path / "first")
    assert_refused(call(app, *again, "--seed", "1"), 2, "it split", "--seed 0; give that seed")
    assert_refused(call(app, *again, "--cross-validate", "3"), 2, "would be scored")
    assert not (tmp_path / "again").exists()
    assert_done(call(app, *again))


@pytest.mark.parametrize("out", ["run", "happy/run"])
def test_what_is_written_does_not_become_a_class(tmp_path: Path, out: str) -> None:
    faces = tmp_path / "faces"
    draw_faces(faces / "happy", 6, seed=1)
    draw_faces(faces / "sad", 6, seed=2)
    before = sorted(faces.rglob("*"))
    for command in (("--data", faces), ("inspect", faces)):
        assert_refused(call(app, *command, "--out", faces / out), 2, "among the classes")
    assert sorted(faces.rglob("*")) == before


@pytest.mark.parametrize(("chosen", "used"), [(None, "1"), ("0", "0")])
def test_onednn_is_asked_for_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, chosen: str | None, used: str
) -> None:
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")  # and as it was after the test
    if chosen is None:
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    assert_done(call(app, "models"))
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == used


def test_options_that_do_nothing_are_named(tmp_path: Path, drawn: Path) -> None:
    idle = ("--teacher-weight", "0.7", "--plateau-patience", "3")
    done = call(app, "--data", drawn, "--out", tmp_path / "run", *TINY, "--epochs", "1", *idle)
    assert_done(done)
    assert "--plateau-patience does nothing without --schedule plateau" in done.stderr
    assert "--teacher-weight does nothing without --teacher" in done.stderr


def test_training_stops_when_the_chosen_metric_no_longer_improves(
    tmp_path: Path, drawn: Path
) -> None:
    # A rate this low moves the logits, but no answer: every epoch after the first is no better.
    options = (*TINY, "--epochs", "9", "--learning-rate", "1e-9", "--patience", "2")
    out = tmp_path / "run"
    chosen = ("--select-by", "val_macro_f1", "--tensorboard")
    outcome = call(app, "--data", drawn, "--out", out, *options, *chosen)
    assert_done(outcome)
    assert "stopped after epoch 3: val_macro_f1 was best in epoch 1" in outcome.stderr
    assert epochs_of(out) == [0, 1, 2]
    assert read_json(out / "metrics.json")["training"]["epochs"] == 3  # type: ignore[index]
    for part in ("train", "validation"):
        assert list((out / "tensorboard" / part).glob("events.out.tfevents.*"))


def test_a_finished_run_is_neither_overwritten_nor_resumed(run_folder: Path, drawn: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run_folder.iterdir()}
    assert_refused(call(app, "--data", drawn, "--out", run_folder), 2, "holds a finished run")
    assert_refused(call(app, "--resume", run_folder), 2, "nothing to resume")
    assert {path: path.stat().st_mtime_ns for path in run_folder.iterdir()} == before


def test_an_output_that_holds_something_else_is_left_alone(tmp_path: Path, drawn: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("mine")
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    for out in (file, folder):
        refused = call(app, "--data", drawn, "--out", out)
        assert_refused(refused, 2, str(out), "is not an empty folder")
    assert [file.read_text(), (folder / "mine.txt").read_text()] == ["mine", "mine"]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--data", "faces"), 2, ("--out",)),
        (("--out", "run"), 2, ("--data",)),
        (("--resume", "run", "--data", "faces"), 2, ("--resume",)),
        (("--resume", "nowhere"), 3, ("nowhere is not a run folder",)),
        (("--data", "nowhere", "--out", "run"), 3, ("nowhere does not exist",)),
        (
            ("--data", "faces", "--out", "run", "--architecture", "huge"),
            2,
            ("'huge'", "micro, small, base"),
        ),
        (
            ("--data", "faces", "--out", "run", "--labels", "ferplus"),
            2,
            ("faces holds no fer2013.csv",),
        ),
        (
            ("--data", "fer", "--out", "run", "--labels", "raf"),
            2,
            ("'raf'", "fer, ferplus, ferplus-soft"),
        ),
        (("--data", "faces", "--out", "run", "--colour", "sepia"), 2, ("sepia",)),
        (
            ("--data", "faces", "--out", "run", "--crop-margin", "9"),
            2,
            ("crop_margin", "at most 2"),
        ),
        (("--data", "faces", "--out", "run", "--keep-head"), 2, ("goes with --weights RUN",)),
        (
            ("--data", "faces", "--out", "run", "--frozen-share", "0.5"),
            2,
            ("--frozen-share goes with --weights",),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) and "--" in value[0] else None,
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    tmp_path: Path,
    drawn: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    code: int,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(drawn, "faces")
    Path("fer").mkdir()
    Path("fer", "fer2013.csv").write_text("emotion,pixels,Usage\n")
    assert_refused(call(app, *options), code, *words)
    assert not Path("run").exists()


def test_a_training_that_diverges_says_what_to_lower(tmp_path: Path, drawn: Path) -> None:
    options = (*TINY, "--epochs", "2", "--learning-rate", "1e30")
    outcome = call(app, "--data", drawn, "--out", tmp_path / "run", *options)
    assert_refused(outcome, 3, "diverged", "--learning-rate")
    assert not (tmp_path / "run" / "spec.json").exists()


def test_synthesize_draws_the_same_data_for_the_same_seed(tmp_path: Path) -> None:
    for out in ("a", "b"):
        assert_done(call(app, "synthesize", "--out", tmp_path / out, "--per-class", "2"))
    first, second = (
        {path.relative_to(tmp_path / out): path.read_bytes() for path in files}
        for out in ("a", "b")
        for files in [sorted((tmp_path / out).rglob("*.png"))]
    )
    assert first == second
    assert len(first) == 5 * (2 + 1)


def test_synthesize_refuses_what_exists_before_it_draws(tmp_path: Path) -> None:
    assert_refused(call(app, "synthesize", "--out", tmp_path), 2, "exists")
    (tmp_path / "talk.mp4").write_bytes(b"mine")
    for video, words in (("talk.mp4", "talk.mp4 exists"), ("talk.avi", "must end in .mp4")):
        drawing = ("synthesize", "--out", tmp_path / "faces", "--video", tmp_path / video)
        assert_refused(call(app, *drawing), 2, words)
    assert not (tmp_path / "faces").exists()
    assert (tmp_path / "talk.mp4").read_bytes() == b"mine"
