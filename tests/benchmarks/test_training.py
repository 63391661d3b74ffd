from __future__ import annotations

import json
from pathlib import Path

from emo_bench.cli import app
from running import assert_done, assert_refused, call


def test_training_is_timed_in_three_ways(tmp_path: Path) -> None:
    file = tmp_path / "training.json"
    small = ("--architecture", "plain-micro", "--input-size", "16", "--batch-size", "4")
    outcome = call(app, "training", *small, "--steps", "2", "--rounds", "1", "--json", file)
    assert_done(outcome)
    (result,) = json.loads(file.read_text())["results"]
    assert set(result["ways"]) == {"no augmentation", "batched (emo-train)", "picture by picture"}
    for speed in result["ways"].values():
        assert speed["images_per_second"] > 0
        assert speed["cpu_ms_per_image"] > 0
    assert result["of_plain"]["no augmentation"] == 1
    assert "batched (emo-train)" in outcome.stdout


def test_batches_of_more_faces_than_there_are_are_refused() -> None:
    ended = call(app, "training", "--architecture", "plain-micro", "--batch-size", "2049")
    assert_refused(ended, 2, "--batch-size is at most 2048")
