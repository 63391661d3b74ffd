from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emo_bench.accuracy.paired import pack_hits
from emo_bench.cli import app
from emo_bench.compare import ratio_interval
from emo_bench.conditions import conditions
from emo_bench.results import ALL, Outcome, write
from emo_bench.statistics import block_medians, describe
from running import Outcome as Ended
from running import assert_done, assert_refused, call

FACES = 400


def latency(factor: float = 1.0, *, noise: float = 0.02, processes: int = 5) -> dict[str, Any]:
    """Return a result whose times are about `factor` ms; `noise` is between processes."""
    rng = np.random.default_rng(1)
    shifts = 1 + noise * np.linspace(-1, 1, processes) if processes > 1 else np.ones(1)
    times = [factor * shift * rng.gamma(400, 1 / 400, 200) for shift in shifts]
    return {
        "model": "m.tflite",
        "runtime": "tflite_runtime 2.14.0",
        "threads": 1,
        "milliseconds": describe(np.concatenate(times)),
        "process_medians": [float(np.median(part)) for part in times],
        "block_medians": [value for part in times for value in block_medians(part)],
    }


def accuracy(wrong: int, faces: str = "a") -> dict[str, Any]:
    """Return a result with so many wrong answers, the first ones, of `FACES`."""
    hits = np.arange(FACES) >= wrong
    return {
        "model": "m.tflite",
        "images": FACES,
        "top1": float(hits.mean()),
        "protocol": {"scored_on": "test split"},
        "faces_sha256": faces,
        "hits": pack_hits(hits),
    }


def outcome(kind: str, *results: dict[str, Any], **state: Any) -> Outcome:
    now = conditions() | state
    return Outcome(kind, "emo-bench ...", now, now, [], list(results), [])


def judged(folder: Path, before: Outcome, after: Outcome, *options: str) -> Ended:
    a, b = folder / "a.json", folder / "b.json"
    write(a, before)
    write(b, after)
    return call(app, "compare", a, b, *options)


@pytest.mark.parametrize(
    ("factor", "allowed", "code"),
    [(1.0, "10%", 0), (1.08, "10%", 0), (1.2, "10%", 10), (1.2, "30", 0), (0.5, "0%", 0)],
)
def test_a_slowdown_beyond_what_is_allowed_has_an_exit_code_of_its_own(
    tmp_path: Path, factor: float, allowed: str, code: int
) -> None:
    ended = judged(
        tmp_path,
        outcome("latency", latency()),
        outcome("latency", latency(factor)),
        "--max-slowdown",
        allowed,
    )
    assert ended.returncode == code, ended.stderr
    assert "m.tflite, tflite_runtime, 1 thread" in ended.stdout
    if code:
        assert_refused(ended, 10, "m.tflite", "median")


def test_what_noise_may_explain_is_unclear_and_no_regression(tmp_path: Path) -> None:
    before, after = latency(noise=0.4), latency(1.15, noise=0.4)
    ended = judged(tmp_path, outcome("latency", before), outcome("latency", after))
    assert_done(ended)
    assert "unclear" in ended.stdout
    assert "calmer machine" in ended.stderr


def test_the_interval_of_a_ratio_holds_the_ratio() -> None:
    low, high = ratio_interval(latency(), latency(1.2))
    assert low < 1.2 < high
    assert high - low < 0.15
    low, high = ratio_interval(latency(processes=1), latency(2.0, processes=1))
    assert low < 2.0 < high


def test_a_process_of_few_runs_has_a_say_in_the_interval() -> None:
    short, slower = latency(), latency(1.2)
    del short["block_medians"][-3:]  # its last process made one run
    low, high = ratio_interval(short, slower)
    assert low < 1.2 < high


@pytest.mark.parametrize(
    ("wrong", "allowed", "code"),
    [(40, "0.5", 0), (42, "0.5", 0), (43, "0.5", 10), (43, "0.8", 0), (30, "0", 0)],
)
def test_lost_points_are_judged_on_the_same_faces(
    tmp_path: Path, wrong: int, allowed: str, code: int
) -> None:
    ended = judged(
        tmp_path,
        outcome("accuracy", accuracy(40)),
        outcome("accuracy", accuracy(wrong)),
        "--max-drop",
        allowed,
    )
    assert ended.returncode == code, ended.stderr
    assert "90.000" in ended.stdout


def test_other_faces_are_refused(tmp_path: Path) -> None:
    before, after = outcome("accuracy", accuracy(1)), outcome("accuracy", accuracy(1, faces="b"))
    assert_refused(judged(tmp_path, before, after), 3, "other faces")


def test_times_of_another_machine_are_refused_unless_meant(tmp_path: Path) -> None:
    here, there = outcome("latency", latency()), outcome("latency", latency(), cpu="Other CPU")
    assert_refused(judged(tmp_path, here, there), 2, "Other CPU", "--across-machines")
    assert_done(judged(tmp_path, here, there, "--across-machines"))
    scores = outcome("accuracy", accuracy(1)), outcome("accuracy", accuracy(1), cpu="Other CPU")
    assert_done(judged(tmp_path, *scores))


def test_whole_reports_are_compared_part_by_part(tmp_path: Path) -> None:
    timed, scored = outcome("latency", latency()), outcome("accuracy", accuracy(40))
    slower = outcome("latency", latency(1.5))
    before = outcome(ALL, timed.to_json(), scored.to_json())
    after = outcome(ALL, slower.to_json(), scored.to_json())
    assert_refused(judged(tmp_path, before, after), 10, "median")
    assert_done(judged(tmp_path, before, before))


def test_what_can_no_longer_be_measured_is_a_regression(tmp_path: Path) -> None:
    before = outcome("latency", latency(), latency() | {"threads": 2})
    after = copy.deepcopy(outcome("latency", latency()))
    assert "not in the second file" in judged(tmp_path, before, after).stderr
    after.failures.append({"subject": "m.tflite on 2", "error": "crashed", "exit_code": 4})
    assert_refused(judged(tmp_path, before, after), 10, "m.tflite on 2 failed")


def test_a_kind_of_result_that_is_gone_is_a_regression(tmp_path: Path) -> None:
    timed, scored = outcome("latency", latency()), outcome("accuracy", accuracy(40))
    before, after = outcome(ALL, timed.to_json(), scored.to_json()), outcome(ALL, scored.to_json())
    assert_refused(judged(tmp_path, before, after), 10, "latency: not in the second file")
    assert_done(judged(tmp_path, scored, before))


def test_failures_alone_are_a_regression_wherever_they_are_kept(tmp_path: Path) -> None:
    before, after = outcome("latency", latency()), outcome("latency")
    failure = {"subject": "m.tflite", "error": "crashed", "exit_code": 4}
    after.failures.append(failure)
    assert_refused(judged(tmp_path, before, after), 10, "latency of m.tflite failed")
    whole = outcome(ALL, before.to_json())
    whole.failures.append(failure)
    assert_refused(judged(tmp_path, before, whole), 10, "m.tflite failed")


def test_results_of_the_same_name_are_paired_in_their_order(tmp_path: Path) -> None:
    before = outcome("latency", latency(), latency(3.0))
    ended = judged(tmp_path, before, outcome("latency", latency(1.5), latency(3.0)))
    assert_refused(ended, 10, "m.tflite, tflite_runtime, 1 thread (1 of 2): median")
    assert "(2 of 2)" not in ended.stderr
    assert_done(judged(tmp_path, before, before))


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_results_of_the_same_name_that_cannot_be_paired_are_refused(
    tmp_path: Path, before: int, after: int
) -> None:
    a, b = (outcome("latency", *[latency()] * count) for count in (before, after))
    words = (f"{before} in the first file, {after} in the second", "m.tflite")
    assert_refused(judged(tmp_path, a, b), 3, *words)


def test_files_without_anything_in_common_are_refused(tmp_path: Path) -> None:
    other = latency() | {"model": "other.tflite"}
    before, after = outcome("latency", latency()), outcome("latency", other)
    assert_refused(judged(tmp_path, before, after), 3, "in common")


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"other": 1}))
    assert_refused(call(app, "compare", path, path), 3, "not a result of emo-bench")


@pytest.mark.parametrize(
    ("kind", "change", "word"),
    [
        ("accuracy", {"hits": None}, "hits"),
        ("accuracy", {"hits": "ff"}, "hits are not those of 400 faces"),
        ("accuracy", {"hits": "much"}, "not hexadecimal"),
        ("accuracy", {"images": 300}, "other faces"),
        ("accuracy", {"model": 1}, "model"),
        ("latency", {"milliseconds": {}}, "median"),
        ("latency", {"milliseconds": {"median": 0}}, "not above 0"),
        ("latency", {"block_medians": []}, "not above 0"),
        ("latency", {"threads": "two"}, "threads"),
        ("instructions", {"million_instructions": {"invoke": "many"}}, "invoke"),
    ],
)
def test_a_damaged_result_is_refused(
    tmp_path: Path, kind: str, change: dict[str, Any], word: str
) -> None:
    whole = {"accuracy": accuracy(1), "latency": latency(), "instructions": instructions(invoke=1)}
    before, after = outcome(kind, whole[kind]), outcome(kind, whole[kind] | change)
    assert_refused(judged(tmp_path, before, after), 3, word)
    assert_refused(judged(tmp_path, after, before), 3, word)


@pytest.mark.parametrize(
    "change",
    [
        {"results": [{}]},
        {"results": None},
        {"kind": ["accuracy"]},
        {"failures": [{"subject": "m.tflite"}]},
        {"conditions_before": {}, "kind": "latency", "results": [latency()]},
        {"kind": ALL, "results": [{"schema": 2, "kind": "accuracy"}]},
        {"kind": ALL, "results": [{"kind": "accuracy"}]},
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(outcome("accuracy", accuracy(1)).to_json() | change))
    assert_refused(call(app, "compare", path, path), 3)


def test_a_slowdown_that_is_no_percentage_is_refused(tmp_path: Path) -> None:
    same = outcome("latency", latency())
    assert_refused(judged(tmp_path, same, same, "--max-slowdown", "much"), 2, "percent")


def instructions(**counts: float) -> dict[str, Any]:
    return {
        "model": "m.tflite",
        "cpu": "cortex-a72",
        "suite": "bookworm",
        "runtime": "tflite_runtime 2.14.0",
        "million_instructions": counts,
    }


@pytest.mark.parametrize(("count", "code"), [(10.4, 0), (9.0, 0), (10.6, 10)])
def test_instructions_are_judged_on_whatever_machine_they_were_counted(
    tmp_path: Path, count: float, code: int
) -> None:
    before = outcome("instructions", instructions(invoke=10.0, jpeg=5.0), cpu="A")
    after = outcome("instructions", instructions(invoke=count, jpeg=5.0), cpu="B")
    ended = judged(tmp_path, before, after, "--max-slowdown", "5%")
    assert ended.returncode == code, ended.stderr
    assert "m.tflite, cortex-a72, bookworm, tflite_runtime" in ended.stdout
    if code:
        assert_refused(ended, code, "invoke, million instructions 10.000 -> 10.600")
