"""`emo-edge tune`: what may stand in for what, what wins, and how long that is remembered."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.drawn import FLOAT32, INT8, of_schema, save, scene
from emo_edge.backends import find_backend
from emo_edge.cli import app
from emo_edge.contract import Image
from emo_edge.detectors import make_detector
from emo_edge.errors import UsageError
from emo_edge.modelfile import pack, read_model
from emo_edge.tuning import memory, search
from emo_edge.tuning.search import Trial, winner
from emo_edge.tuning.trial import measured
from emo_edge.tuning.variants import Variant, variants_of
from running import Outcome, assert_done, assert_refused, call

SOURCE = "5" * 64


def variant(path: Path, original: Path, *, top1: float | None = 0.9, source: str = SOURCE) -> Path:
    """Write a model that says where it comes from and what its gate measured."""
    parts = read_model(original)
    assert parts.spec is not None
    accuracy = None if top1 is None else {"export_top1": top1}
    conversion = {
        "source": {"sha256": source},
        "parity": [{"runtime": "any", "accuracy": accuracy}],
        "quantization": path.stem,
    }
    spec = dataclasses.replace(parts.spec, conversion=conversion)
    path.write_bytes(pack(parts.flatbuffer, spec, parts.golden))
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "emo-toolkit" / "tuned.json"


# What may stand in -------------------------------------------------------------------------------


def names(model: Path) -> list[str]:
    return [found.path.name for found in variants_of(model)]


def test_files_of_the_same_model_that_are_as_right_may_stand_in(tmp_path: Path) -> None:
    named = variant(tmp_path / "b-int8.tflite", INT8, top1=0.90)
    variant(tmp_path / "a-float32.tflite", FLOAT32, top1=0.895)
    variant(tmp_path / "worse.tflite", FLOAT32, top1=0.88)
    variant(tmp_path / "unscored.tflite", FLOAT32, top1=None)
    variant(tmp_path / "stranger.tflite", FLOAT32, source="6" * 64)
    (tmp_path / "damaged.tflite").write_bytes(INT8.read_bytes()[:-40])
    (tmp_path / "plain.tflite").write_bytes(read_model(INT8).flatbuffer)
    assert names(named) == ["b-int8.tflite", "a-float32.tflite"]
    assert names(tmp_path / "unscored.tflite") == ["unscored.tflite"]


def test_a_plain_model_has_no_variants_and_says_so(tmp_path: Path) -> None:
    plain = tmp_path / "plain.tflite"
    plain.write_bytes(read_model(INT8).flatbuffer)
    with pytest.raises(UsageError, match="nothing to choose"):
        variants_of(plain)


# What wins ---------------------------------------------------------------------------------------

ONE, TWO = (Variant(Path(f"/{n}.tflite"), n, 0.9) for n in ("one", "two"))


def trial(variant: Variant, threads: int, median: float | None) -> Trial:
    return Trial(variant, "any", threads, median, median)


@pytest.mark.parametrize(
    ("medians", "wins"),
    [
        ([(ONE, 1, 2.0), (TWO, 1, 1.0)], (TWO, 1)),
        ([(ONE, 1, 2.0), (TWO, 1, 1.95)], (ONE, 1)),  # noise
        ([(ONE, 1, 2.0), (ONE, 2, 1.7)], (ONE, 1)),  # not worth a thread
        ([(ONE, 1, 2.0), (ONE, 2, 1.1)], (ONE, 2)),
        ([(ONE, 1, None), (TWO, 1, 9.0)], (TWO, 1)),  # refused
    ],
)
def test_the_fastest_wins_by_more_than_noise(
    medians: list[tuple[Variant, int, float | None]], wins: tuple[Variant, int]
) -> None:
    best = winner([trial(*each) for each in medians])
    assert best is not None
    assert (best.variant, best.threads) == wins


def test_where_nothing_runs_nothing_wins() -> None:
    assert winner([]) is None
    assert winner([trial(ONE, 1, None)]) is None


@pytest.fixture
def two_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_backends", lambda: ["first", "second"])
    monkeypatch.setattr(os, "cpu_count", lambda: 4)


def by_table(costs: dict[tuple[str, str], float]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def measure(task: dict[str, Any]) -> dict[str, Any]:
        cost = costs[Path(task["model"]).stem, task["backend"]] * task["threads"]
        return {"median_ms": cost, "p90_ms": cost, "runs": 9, "runtime": "r", "delegates": 0}

    return measure


COSTS = {("one", "first"): 4.0, ("two", "first"): 3.0, ("one", "second"): 2.0} | {
    ("two", "second"): 5.0
}


@pytest.mark.usefixtures("two_runtimes")
def test_every_pair_is_tried_and_then_the_best_with_more_threads() -> None:
    trials = list(search.search([ONE, TWO], in_time=lambda: True, measure=by_table(COSTS)))
    assert [(t.variant.path.stem, t.backend, t.threads) for t in trials] == [
        ("one", "first", 1),
        ("two", "first", 1),
        ("one", "second", 1),
        ("two", "second", 1),
        ("one", "second", 2),
        ("one", "second", 4),
    ]


@pytest.mark.usefixtures("two_runtimes")
@given(st.integers(0, 8))
def test_the_budget_ends_the_search_after_the_first_trial_at_least(left: int) -> None:
    times = iter([True] * left)
    trials = list(
        search.search([ONE, TWO], in_time=lambda: next(times, False), measure=by_table(COSTS))
    )
    assert len(trials) == min(1 + left, 6)


def test_a_model_that_kills_its_process_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    wild = tmp_path / "wild.tflite"
    content = b"\xf0\xff\xff\xff" + read_model(INT8).flatbuffer[4:]
    spec = read_model(INT8).spec
    assert spec is not None
    wild.write_bytes(pack(content, spec))
    task = {"model": str(wild), "backend": "auto", "threads": 1, "seconds": 0.01}
    assert "wild.tflite is damaged" in measured(task)["refused"]
    task["model"] = str(tmp_path / "gone.tflite")
    assert "cannot read model" in measured(task)["refused"]


# What is remembered ------------------------------------------------------------------------------


def edge(*words: str | Path) -> Outcome:
    return call(app, *words)


@pytest.fixture
def tuned(tmp_path: Path, cache: Path) -> tuple[Path, Path]:
    """A model that was tuned, and its variant that won."""
    folder = tmp_path / "models"
    folder.mkdir()
    named = variant(folder / "a-int8.tflite", INT8)
    other = variant(folder / "a-float32.tflite", FLOAT32)
    found = next(v for v in variants_of(named) if v.path.name == other.name)
    memory.remember(named, Trial(found, find_backend().name, 2, 0.5, 0.6))
    return named, other


def reading(model: Path, picture: Path, *options: str) -> Outcome:
    words = ("--model", model, "--source", picture, "--detector", "none", "--jsonl", "-")
    return edge(*words, *options)


@pytest.fixture
def face(tmp_path: Path) -> Path:
    return save(tmp_path / "face.png", scene("happy")[0])


def test_a_run_takes_the_winner_and_says_so_in_one_line(
    tuned: tuple[Path, Path], face: Path
) -> None:
    said = reading(tuned[0], face).stderr
    backend = find_backend().name
    assert said.count(f"tuned: a-float32.tflite on {backend}, 2 thread(s)") == 1
    for options in (["--no-tuned"], ["--threads", "1"], ["--backend", backend]):
        done = reading(tuned[0], face, *options)
        assert_done(done)
        assert "tuned" not in done.stderr


def test_the_page_names_the_file_that_runs(
    tuned: tuple[Path, Path], face: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emo_edge.cli import assembly

    opened = []
    really = assembly.open_sinks
    monkeypatch.setattr(
        assembly,
        "open_sinks",
        lambda outputs, *rest: opened.append(outputs) or really(outputs, *rest),
    )
    assert_done(reading(tuned[0], face, "--serve", "0"))
    assert opened[0].serving.model == tuned[1].stem


def test_another_board_version_or_variant_makes_it_worthless_and_that_is_said(
    tuned: tuple[Path, Path], face: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(memory, "board_model", lambda: "Raspberry Pi 5 Model B Rev 1.0")
        done = reading(tuned[0], face)
    assert_done(done)
    assert "out of date (board changed): run it again" in done.stderr
    variant(tuned[1], FLOAT32, top1=0.5)
    done = reading(tuned[0], face)
    assert_done(done)
    assert "a-float32.tflite changed" in done.stderr
    variant(tuned[0], INT8, top1=0.5)  # a model that was never tuned
    assert "tun" not in reading(tuned[0], face).stderr


def test_a_runtime_that_is_gone_makes_it_worthless(tuned: tuple[Path, Path], cache: Path) -> None:
    content = json.loads(cache.read_text())
    (entry,) = content["models"].values()
    entry["conditions"]["gone_runtime"] = "gone_runtime 1.0"
    cache.write_text(json.dumps(content))
    assert memory.recall(tuned[0]) == (None, "gone_runtime changed")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": 1}', '{"format": 1, "models": 3}', '{"format": 2, "models": {}}'],
)
def test_a_damaged_memory_is_none(cache: Path, content: str, face: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text(content)
    assert memory.recall(INT8) == (None, "")
    assert_done(reading(INT8, face))


@pytest.mark.parametrize(
    ("key", "value"),
    [("threads", "many"), ("threads", 1e999), ("threads", -1), ("backend", []), ("backend", "x")],
)
def test_an_entry_that_was_tampered_with_is_said(
    tuned: tuple[Path, Path], cache: Path, key: str, value: object
) -> None:
    content = json.loads(cache.read_text())
    (entry,) = content["models"].values()
    entry[key] = value
    cache.write_text(json.dumps(content))
    assert memory.recall(tuned[0]) == (None, "it is damaged")


def test_the_command_measures_shows_and_remembers(tmp_path: Path, cache: Path) -> None:
    named = variant(tmp_path / "a-int8.tflite", INT8)
    variant(tmp_path / "a-float32.tflite", FLOAT32)
    done = edge("tune", "--model", named, "--budget", "1")
    assert_done(done)
    first = next(line for line in done.stdout.splitlines() if "a-int8.tflite" in line)
    assert "90.0%" in first
    assert str(cache) in done.stderr
    best, outdated = memory.recall(named)
    assert best is not None
    assert outdated == ""
    assert best.median_ms > 0


def test_what_cannot_be_tuned_is_refused(tmp_path: Path, cache: Path) -> None:
    assert_refused(edge("tune", "--model", tmp_path / "gone.tflite"), 4, "cannot read model")
    spec = read_model(INT8).spec
    assert spec is not None
    unknown = tmp_path / "unknown.tflite"
    unknown.write_bytes(pack(of_schema(9, read_model(INT8).flatbuffer), spec))
    assert_refused(edge("tune", "--model", unknown, "--budget", "1"), 4, "no runtime here runs")
    assert not cache.exists()


# The smallest face -------------------------------------------------------------------------------


def far_away(width: int) -> Image:
    """A picture of 960 x 720 with one drawn face of that width."""
    near, (box,) = scene("happy")
    zoom = width / box.w
    small = cv2.resize(near, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    picture = np.full((720, 960, 3), 120, np.uint8)
    picture[300 : 300 + small.shape[0], 400 : 400 + small.shape[1]] = small
    return picture


@pytest.mark.parametrize("name", ["haar", "yunet"])
def test_a_smaller_smallest_face_finds_more(name: str, request: pytest.FixtureRequest) -> None:
    if name == "yunet":
        request.getfixturevalue("yunet_cache")
    picture = far_away(120)  # 1/8 of the picture
    assert len(make_detector(name, 1 / 16)(picture)) == 1
    assert len(make_detector(name, 1 / 4)(picture)) == 0


def test_the_option_reaches_the_detector(tmp_path: Path) -> None:
    picture = save(tmp_path / "far.png", far_away(80))
    found = ("--model", INT8, "--source", picture, "--detector", "haar", "--jsonl", "-")
    assert_done(edge(*found))
    assert_refused(edge(*found, "--smallest-face", "0.25"), 7, "larger than 1/4 of")
    assert edge(*found, "--smallest-face", "0.9").returncode == 2
