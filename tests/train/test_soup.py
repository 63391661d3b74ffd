from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from emo_edge.modelfile import read_model
from emo_train.cli import app
from running import assert_done, assert_refused, call

TINY = ("--architecture", "plain-micro", "--batch-size", "8", "--epochs", "1")


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory, drawn: Path, run_folder: Path) -> Path:
    """A run that went on from `run_folder`."""
    out = tmp_path_factory.mktemp("again") / "run"
    taught = ("--weights", os.path.relpath(run_folder), "--teacher", run_folder)
    assert_done(call(app, "--data", drawn, "--out", out, *TINY, *taught))
    return out


def test_a_run_can_go_on_in_another_folder_than_it_began(again: Path, run_folder: Path) -> None:
    config = json.loads((again / "config.json").read_text())
    assert config["recipe"]["weights"] == str(run_folder.resolve())


def weights(run: Path) -> list[np.ndarray]:
    return list(keras.saving.load_model(run / "model.keras", compile=False).get_weights())


def test_the_mean_of_two_runs_is_a_run_that_can_be_converted(
    tmp_path: Path, run_folder: Path, again: Path
) -> None:
    from emo_convert.cli import app as converter

    out = tmp_path / "mean"
    assert_done(call(app, "average", run_folder, again, "--out", out))
    for mine, first, second in zip(weights(out), weights(run_folder), weights(again), strict=True):
        np.testing.assert_allclose(mine, (first + second) / 2, rtol=1e-6, atol=1e-7)
    training = json.loads((out / "metrics.json").read_text())["training"]
    assert training["averaged"] == [run_folder.name, again.name]
    assert training["teachers"] == [run_folder.name]
    loose = ("--max-drop", "100", "--max-class-drop", "100", "--min-agreement", "0")
    assert_done(call(converter, out, "--quantize", "fp16", *loose))
    card, name = (out / "mean-fp16.md").read_text(), run_folder.name
    assert "The mean of the weights of 2 runs" in card
    assert f"It began with the weights of `{name}`. Taught by `{name}`." in card
    # What travels with a model says nothing of where it was made.
    spec = json.dumps(read_model(out / "mean-fp16.tflite").spec.to_json())
    assert str(run_folder.parent) not in spec


def test_runs_that_do_not_fit_are_refused(
    tmp_path: Path, drawn: Path, run_folder: Path, again: Path
) -> None:
    out = tmp_path / "mean"
    assert_refused(call(app, "average", again, "--out", out), 2, "two runs or more")
    nothing = tmp_path / "nothing"
    assert_refused(
        call(app, "average", again, nothing, "--out", out), 3, str(nothing), "not a finished run"
    )
    assert_refused(call(app, "average", again, again, "--out", run_folder), 2, "another --out")
    other = tmp_path / "other"
    assert_done(call(app, "--data", drawn, "--out", other, *TINY, "--input-size", "32"))
    assert_refused(call(app, "average", again, other, "--out", out), 3, "did not hold out the same")
    assert not out.exists()


def test_a_run_may_have_gone_on_with_other_faces_if_none_of_them_scores(
    tmp_path: Path, drawn: Path
) -> None:
    def without(name: str, lost: str | None = None) -> Path:
        shutil.copytree(drawn / "train", tmp_path / name / "train")
        shutil.copytree(drawn / "test", tmp_path / name / "val")
        if lost is not None:
            next((tmp_path / name / lost / "sad").iterdir()).unlink()
        return tmp_path / name

    first, out = tmp_path / "first", tmp_path / "mean"
    assert_done(call(app, "--data", without("one"), "--out", first, *TINY))
    for name, lost in (("two", "train"), ("three", "val")):
        taught = ("--weights", first, "--out", tmp_path / f"run-{name}")
        assert_done(call(app, "--data", without(name, lost), *TINY, *taught))
    refused = call(app, "average", first, tmp_path / "run-three", "--out", out)
    assert_refused(refused, 3, "did not hold out the same faces", str(first))
    assert_done(call(app, "average", first, tmp_path / "run-two", "--out", out))
    next((tmp_path / "one" / "train" / "happy").iterdir()).unlink()
    refused = call(app, "average", first, tmp_path / "run-two", "--out", tmp_path / "late")
    assert_refused(refused, 3, f"changed since {first} learned from them")


def test_an_average_that_was_cut_short_is_not_trained(tmp_path: Path, again: Path) -> None:
    out = tmp_path / "mean"
    out.mkdir()
    config = json.loads((again / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**config, "averaged": ["a", "b"]}))
    assert_refused(call(app, "--resume", out), 3, "average again")
