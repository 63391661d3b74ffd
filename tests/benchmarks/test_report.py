from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from emo_bench.cli import app
from emo_bench.grids import Grid, html, markdown
from emo_bench.results import parts, read
from emo_edge.runfolder import EVALUATION
from emo_edge.spec import ModelSpec
from emo_train.synthetic import EXPRESSIONS, write_video
from running import (
    ASSETS,
    Outcome,
    assert_done,
    assert_refused,
    call,
    command_line,
    draw_faces,
    run,
)

INT8, FLOAT32 = ASSETS / "drawn-int8.tflite", ASSETS / "drawn-float32.tflite"
QUICK = ("--backends", "tflite_runtime", "--seconds", "0")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    for seed, label in enumerate(EXPRESSIONS):
        draw_faces(folder / "test" / label, 4, seed=seed)
    return folder


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> tuple[Path, Outcome]:
    """Return a report on a model that works and one that does not, and how the command ended."""
    folder = tmp_path_factory.mktemp("reports")
    broken = folder / "broken.tflite"
    broken.write_bytes(b"no model at all")
    out = folder / "report"
    options = ("--data", faces, "--report", out, "--robustness", "--crop-margins", *QUICK)
    return out, run("emo-bench", "all", INT8, broken, *options)


def test_what_fails_is_told_and_the_others_finish(reported: tuple[Path, Outcome]) -> None:
    folder, ended = reported
    assert ended.returncode == 4
    assert "Traceback" not in ended.stderr
    whole = read(folder / "report.json")
    assert [part.kind for part in parts(whole)] == ["accuracy", "latency"]
    assert [len(part.results) for part in parts(whole)] == [1, 1]
    assert [failure["exit_code"] for failure in whole.failures] == [4, 4]
    assert "broken.tflite" in (folder / "report.html").read_text()
    assert "[2/2] $ emo-bench latency" in ended.stderr


def test_the_page_needs_nothing_else(reported: tuple[Path, Outcome]) -> None:
    page = (reported[0] / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "<script" not in page
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == 6  # overview, confusion, robustness, margins, histogram, stages
    for picture in pictures:
        content = np.frombuffer(base64.b64decode(picture), np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR)
        assert image is not None
        assert len(np.unique(image)) > 2
    assert "shifted 10 %" in page
    assert "CONV_2D" in page


def test_the_markdown_has_tables_and_its_pictures_are_there(
    reported: tuple[Path, Outcome],
) -> None:
    folder = reported[0]
    text = (folder / "report.md").read_text()
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert len(pictures) == 6
    assert all((folder / picture).is_file() for picture in pictures)
    assert "| model | runtime |" in text
    assert f"| {INT8.name} |" in text


def test_a_run_folder_brings_its_exports_and_its_faces(tmp_path: Path) -> None:
    import keras

    folder = tmp_path / "mine"
    folder.mkdir()
    inputs = keras.Input((48, 48, 1))
    outputs = keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(inputs))
    keras.Model(inputs, outputs).save(folder / "model.keras")
    spec = ModelSpec(tuple(EXPRESSIONS), 48, 48)
    (folder / "spec.json").write_text(json.dumps(spec.to_json()))
    paths = draw_faces(tmp_path / "faces", 10)
    pixels = np.stack([np.asarray(cv2.imread(str(p), cv2.IMREAD_GRAYSCALE)) for p in paths])
    np.savez(folder / EVALUATION, pixels=pixels[..., None], truth=np.arange(10) % 5, split="test")
    (folder / "mine-int8.tflite").write_bytes(INT8.read_bytes())
    out = tmp_path / "report"
    write_video(tmp_path / "film.mp4", timeline=(("happy", 1.0),), size=(320, 240), fps=10)
    loop = ("--source", tmp_path / "film.mp4", "--duration", "1")
    assert_done(run("emo-bench", "all", folder, "--report", out, *QUICK, *loop))
    scores, times, loops = parts(read(out / "report.json"))
    assert (loops.kind, len(loops.results)) == ("pipeline", 1)
    assert loops.results[0]["detector"] == "haar"  # what ran, not "auto"
    assert [result["model"] for result in scores.results] == ["mine", "mine-int8.tflite"]
    assert scores.results[1]["against_first"]["model"] == "mine"
    assert [result["model"] for result in times.results] == ["mine-int8.tflite"]


def test_an_existing_report_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert_refused(run("emo-bench", "all", INT8, "--report", tmp_path), 2, "exists")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_report_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = call(app, "all", INT8, "--report", tmp_path / "file" / "report")
    assert_refused(ended, 8, "cannot write", "report")
    assert "[1/" not in ended.stderr


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (("--threads", "x"), 2, "--threads"),
        (("--backends", "other"), 2, "unknown backend"),
        (("--picture", "nosuch.png"), 3, "nosuch.png"),
        (("--source", "nosuch.mp4"), 5, "nosuch.mp4"),
        (("--source", str(INT8)), 5, INT8.name),
        (("--data", "nosuch"), 3, "nosuch does not exist"),
    ],
)
def test_what_cannot_be_measured_with_is_refused_at_once(
    tmp_path: Path, faces: Path, options: tuple[str, ...], code: int, word: str
) -> None:
    report = tmp_path / "report"
    ended = call(app, "all", INT8, "--report", report, "--data", faces, *options)
    assert_refused(ended, code, word)
    assert "[1/" not in ended.stderr
    assert not report.exists()


def test_a_report_without_anything_in_it_does_not_stay(tmp_path: Path, faces: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "spec.json").write_text(json.dumps(ModelSpec(("happy", "sad"), 48, 48).to_json()))
    options = ("--data", faces, "--labels", "other", "--report", tmp_path / "report")
    ended = run("emo-bench", "all", folder, *options)
    assert ended.returncode == 2
    assert "unknown --labels" in ended.stderr
    assert not (tmp_path / "report").exists()


def test_an_interruption_leaves_a_report_of_what_was_measured(tmp_path: Path, faces: Path) -> None:
    report = tmp_path / "report"
    options = ("--data", faces, "--report", report, *QUICK, "--threads", "1,2")
    words = command_line("emo-bench", "all", INT8, *options)
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as bench:
        assert bench.stderr is not None
        while "latency 1/2" not in (line := bench.stderr.readline()):
            assert line, "it ended early"
        os.killpg(bench.pid, signal.SIGINT)  # as a terminal does
        rest = bench.stderr.read()
    assert bench.returncode == 130
    assert "Traceback" not in rest
    scores, times = parts(read(report / "report.json"))
    assert (len(scores.results), len(times.results)) == (1, 0)
    assert [failure["exit_code"] for failure in times.failures] == [130]
    assert (report / "report.html").is_file()


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    runs = [tmp_path / "a", tmp_path / "b"]
    for folder in runs:
        folder.mkdir()
        (folder / "spec.json").write_text(json.dumps(ModelSpec(("happy", "sad"), 48, 48).to_json()))
    ended = run("emo-bench", "all", *runs, "--report", tmp_path / "report")
    assert_refused(ended, 2, "--data", "emo-convert")
    assert not (tmp_path / "report").exists()


def test_tables_keep_marks_of_their_language_apart() -> None:
    grid = Grid("a < b", ("model", "top-1"), [("x|y", "<b>")])
    assert "x\\|y" in markdown(grid)
    assert "| --- | ---: |" in markdown(grid)
    page = html(grid)
    assert "a &lt; b" in page
    assert '<td class="number">&lt;b&gt;</td>' in page
