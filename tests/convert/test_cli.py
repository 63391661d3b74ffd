from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from emo_convert.cli import app
from running import assert_done, assert_refused, call, run


@pytest.fixture
def run_copy(run_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the finished run that may be spoiled."""
    return Path(shutil.copytree(run_folder, tmp_path / "run"))


def arrays_in(path: Path) -> dict[str, Any]:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def rewrite(path: Path, **arrays: Any) -> None:
    """Replace arrays of an .npz file."""
    np.savez(path, **(arrays_in(path) | arrays))


def lift_the_logits(run: Path) -> None:
    """Add a constant to both logits: nothing for a softmax, but one step of int8 is now 80."""
    model = keras.saving.load_model(run / "model.keras", compile=False)
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel, bias + np.float32(10_000)])
    model.save(run / "model.keras")


def models_in(run: Path) -> list[str]:
    return sorted(path.name for path in run.glob("*.tflite"))


def test_the_default_is_int8_beside_the_run_and_the_same_bytes_every_time(
    models: dict[str, Path], run_copy: Path
) -> None:
    again = run_copy.rename(run_copy.with_name("models"))  # the run's name is in the records
    assert_done(call(app, again))
    assert models_in(again) == ["models-int8.tflite"]
    assert (again / "models-int8.tflite").read_bytes() == models["int8"].read_bytes()


def test_a_failed_gate_leaves_the_target_alone_and_reports_why(
    run_copy: Path, tmp_path: Path
) -> None:
    lift_the_logits(run_copy)
    target, report_of_it = tmp_path / "good.tflite", tmp_path / "good.report.json"
    target.write_bytes(b"the good model of last week")
    report_of_it.write_bytes(b"its report")
    outcome = call(app, run_copy, "--quantize", "int8", "-o", target)
    assert_refused(outcome, 6, "good.tflite was not written", "good.failed.report.json")
    assert report_of_it.read_bytes() == b"its report"
    assert target.read_bytes() == b"the good model of last week"
    assert [path.name for path in tmp_path.glob("*.tflite")] == ["good.tflite"]
    report = json.loads((tmp_path / "good.failed.report.json").read_text())
    failures = [failure for parity in report["parity"] for failure in parity["failures"]]
    assert failures
    assert all(failure in outcome.stderr for failure in failures)


def test_one_failing_quantization_does_not_stop_the_others(run_copy: Path) -> None:
    lift_the_logits(run_copy)
    options = ("--quantize", "all", "--backend", "tflite_runtime")
    assert call(app, run_copy, *options).returncode == 6
    written = {"run-dynamic.tflite", "run-float32.tflite", "run-fp16.tflite"}
    assert written <= set(models_in(run_copy))
    assert "run-int8.tflite" not in models_in(run_copy)
    assert (run_copy / "run-int8.failed.report.json").exists()


def test_the_limits_of_the_gate_are_those_asked_for(run_copy: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.tflite"
    limits = ("--max-drop", "100", "--max-class-drop", "100", "--min-agreement", "0")
    lift_the_logits(run_copy)
    assert_done(call(app, run_copy, *limits, "-o", target))
    report = json.loads(target.with_suffix(".report.json").read_text())
    assert report["gate"] == {"max_drop": 100, "max_class_drop": 100, "min_agreement": 0}
    assert target.exists()


def remove(name: str) -> Callable[[Path], None]:
    return lambda run: (run / name).unlink()


def truncate(name: str) -> Callable[[Path], None]:
    def cut(run: Path) -> None:
        content = (run / name).read_bytes()
        (run / name).write_bytes(content[: len(content) // 2])

    return cut


def a_zip_of_something_else(run: Path) -> None:
    with zipfile.ZipFile(run / "model.keras", "w") as archive:
        archive.writestr("holiday.txt", "no model")


def garbage_for_a_model(run: Path) -> None:
    (run / "model.keras").write_bytes(b"no model")


def a_model_of_another_shape(run: Path) -> None:
    inputs = keras.Input((16, 16, 1))
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
    keras.Model(inputs, outputs).save(run / "model.keras")


def faces_of_another_size(run: Path) -> None:
    rewrite(run / "evaluation.npz", pixels=np.zeros((14, 32, 32, 1), np.uint8))


def faces_in_float(run: Path) -> None:
    rewrite(run / "evaluation.npz", pixels=np.zeros((14, 48, 48, 1), np.float32))


def no_faces(run: Path) -> None:
    empty = {"pixels": np.zeros((0, 48, 48, 1), np.uint8), "truth": np.zeros(0, np.int64)}
    rewrite(run / "evaluation.npz", **empty)


def fewer_truths_than_faces(run: Path) -> None:
    rewrite(run / "evaluation.npz", truth=np.zeros(3, np.int64))


def calibration_on_faces_that_score(run: Path) -> None:
    scored = arrays_in(run / "evaluation.npz")
    rewrite(run / "calibration.npz", pixels=scored["pixels"], truth=scored["truth"])


@pytest.mark.parametrize(
    ("spoil", "code", "word"),
    [
        (shutil.rmtree, 3, "run"),
        (remove("spec.json"), 3, "emo-train --resume"),
        (truncate("spec.json"), 4, "not JSON"),
        (remove("evaluation.npz"), 3, "evaluation.npz"),
        (truncate("evaluation.npz"), 3, "evaluation.npz"),
        (remove("calibration.npz"), 3, "calibration.npz"),
        (truncate("calibration.npz"), 3, "calibration.npz"),
        (faces_of_another_size, 3, "evaluation.npz"),
        (faces_in_float, 3, "evaluation.npz"),
        (no_faces, 3, "evaluation.npz"),
        (fewer_truths_than_faces, 3, "evaluation.npz"),
        (calibration_on_faces_that_score, 3, "every calibration face is in the evaluation set"),
        (remove("model.keras"), 4, "model.keras"),
        (truncate("model.keras"), 4, "model.keras"),
        (garbage_for_a_model, 4, "model.keras"),
        (a_zip_of_something_else, 4, "model.keras"),
        (a_model_of_another_shape, 4, "contradicts"),
    ],
)
def test_a_run_that_cannot_be_converted_is_refused_in_one_line(
    run_copy: Path, spoil: Callable[[Path], None], code: int, word: str
) -> None:
    spoil(run_copy)
    outcome = call(app, run_copy)
    assert_refused(outcome, code, word)
    assert not models_in(run_copy)


def test_a_cross_validation_names_a_fold_to_convert(run_copy: Path) -> None:
    whole = run_copy.with_name("cv")
    (whole / "fold-1").mkdir(parents=True)
    (whole / "config.json").write_text(json.dumps({"folds": 3}))
    assert_refused(call(app, whole), 3, "emo-train --resume")
    shutil.copy(run_copy / "spec.json", whole / "fold-1")
    assert_refused(call(app, whole), 3, "convert one of its folds", f"{whole}/fold-1")


def test_a_single_array_is_no_archive(run_folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "faces.npy", np.zeros((2, 48, 48, 1), np.uint8))
    outcome = call(app, run_folder, "--evaluation", tmp_path / "faces.npy")
    assert_refused(outcome, 3, "cannot read faces", "faces.npy")


def test_the_backend_of_the_training_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert_refused(run("emo-convert", tmp_path), 3, "made by emo-train")


def test_a_calibration_face_that_scores_is_left_out(run_copy: Path) -> None:
    calibration = arrays_in(run_copy / "calibration.npz")
    scored = arrays_in(run_copy / "evaluation.npz")
    pixels = np.concatenate([calibration["pixels"], scored["pixels"][:1]])
    truth = np.concatenate([calibration["truth"], scored["truth"][:1]])
    rewrite(run_copy / "calibration.npz", pixels=pixels, truth=truth)
    outcome = call(app, run_copy, "--backend", "tflite_runtime")
    assert_done(outcome)
    assert "refused 1 calibration faces" in outcome.stderr
    report = json.loads((run_copy / "run-int8.report.json").read_text())
    assert report["calibration"]["images"] == len(calibration["pixels"])


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    assert_refused(call(app, tmp_path), 3, str(tmp_path), "made by emo-train")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--quantize", "int4"), ("'int4'", "none, fp16, dynamic, int8", "all")),
        (("--quantize", "all", "-o", "model.tflite"), ("--output",)),
        (("--backend", "onnx"), ("'onnx'", "tflite_runtime")),
    ],
)
def test_wrong_options_are_refused(
    run_folder: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_refused(call(app, run_folder, *options), 2, *words)


def test_a_target_that_cannot_be_written_is_refused(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    target = tmp_path / "file" / "model.tflite"
    outcome = call(app, run_folder, "--quantize", "none", "-o", target)
    assert_refused(outcome, 8, "cannot write")
    assert (tmp_path / "file").read_text() == "not a folder"


def test_a_failure_is_forgotten_once_the_conversion_passes(run_copy: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.tflite"
    strict = ("--min-agreement", "1", "--max-drop", "0", "--backend", "tflite_runtime")
    lift_the_logits(run_copy)
    assert call(app, run_copy, *strict, "-o", target).returncode == 6
    limits = ("--max-drop", "100", "--max-class-drop", "100", "--min-agreement", "0")
    assert_done(call(app, run_copy, *limits, "-o", target))
    assert not target.with_suffix(".failed.report.json").exists()


@pytest.mark.parametrize("name", ["model.keras", "card.md", "model"])
def test_only_a_tflite_file_is_written(run_folder: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    target.write_bytes(b"precious")
    assert_refused(call(app, run_folder, "-o", target), 2, "names a .tflite file", name)
    assert target.read_bytes() == b"precious"


def test_pixel_types_are_for_int8_alone(run_folder: Path) -> None:
    outcome = call(app, run_folder, "--quantize", "fp16", "--pixels", "int8")
    assert_refused(outcome, 2, "for --quantize int8")
