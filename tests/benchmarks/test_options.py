from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from emo_bench.cli import app
from running import ASSETS, assert_refused, call, command_line, draw_faces

# None of what these name is there: whoever begins to measure says so.
COMMANDS: dict[str, tuple[str, ...]] = {
    "accuracy": ("nosuch.tflite", "--data", "nosuch"),
    "all": ("nosuch.tflite", "--report", "nosuch"),
    "compare": ("nosuch.json", "nosuch.json"),
    "detectors": ("--data", "nosuch.csv"),
    "latency": ("nosuch.tflite",),
    "pipeline": ("--source", "nosuch.mp4"),
    "training": ("--architecture", "nosuch"),
}
KEEPING = [command for command in COMMANDS if command not in ("all", "compare")]  # take --json


@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("detectors", "--iou"),
        ("latency", "--seconds"),
        ("pipeline", "--duration"),
        ("pipeline", "--soak"),
        ("compare", "--max-drop"),
        ("all", "--seconds"),
        ("all", "--duration"),
    ],
)
def test_a_number_that_is_none_is_refused(command: str, option: str, value: str) -> None:
    ended = call(app, command, *COMMANDS[command], option, value)
    assert ended.returncode == 2
    assert option in ended.stderr


@pytest.mark.parametrize("command", KEEPING)
def test_results_that_cannot_be_kept_are_not_measured(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "results.json"
    ended = call(app, command, *COMMANDS[command], "--json", place)
    assert_refused(ended, 8, f"cannot write {place}")


INT8 = ASSETS / "drawn-int8.tflite"


def scoring(folder: Path, model: Path) -> tuple[list[str], Path]:
    """Return a command that scores a model on two faces, and the file for its results."""
    draw_faces(folder / "faces" / "test" / "happy", 2)
    out = folder / "results.json"
    options = ("--data", folder / "faces", "--json", out)
    return command_line("emo-bench", "accuracy", model, *options), out


def full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def left() -> int:
    reads, writes = os.pipe()
    os.close(reads)
    return writes


@pytest.mark.parametrize("open_stdout", [full, left])
def test_results_are_kept_though_nobody_can_be_shown_them(
    tmp_path: Path, open_stdout: Callable[[], int]
) -> None:
    command, out = scoring(tmp_path, INT8)
    stdout = open_stdout()
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    os.close(stdout)
    assert done.returncode == 8, done.stderr
    assert "Traceback" not in done.stderr
    assert len(json.loads(out.read_text())["results"]) == 1


def test_a_model_whose_name_is_not_utf8_is_shown(tmp_path: Path) -> None:
    model = Path(os.fsdecode(os.fsencode(tmp_path / "b") + b"\xff.tflite"))
    model.write_bytes(INT8.read_bytes())
    command, out = scoring(tmp_path, model)
    strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=strict)
    assert done.returncode == 0, done.stderr
    assert "b\\xff.tflite" in done.stdout
    (result,) = json.loads(out.read_text())["results"]
    assert result["model"] == "b\\xff.tflite"  # as plots can show it, too
