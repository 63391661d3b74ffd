from __future__ import annotations

from pathlib import Path

import pytest

from emo_bench.cli import app
from running import assert_refused, call

# None of what these name is there: whoever begins to measure says so.
COMMANDS: dict[str, tuple[str, ...]] = {
    "accuracy": ("nosuch.tflite", "--data", "nosuch"),
    "detectors": ("--data", "nosuch.csv"),
    "latency": ("nosuch.tflite",),
    "pipeline": ("--source", "nosuch.mp4"),
    "training": ("--architecture", "nosuch"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_results_that_cannot_be_kept_are_not_measured(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "results.json"
    ended = call(app, command, *COMMANDS[command], "--json", place)
    assert_refused(ended, 8, f"cannot write {place}")
