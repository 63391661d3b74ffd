from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emo_bench.latency import describe, spread_warnings
from emo_edge.artifacts import sha256
from running import ASSETS, assert_done, assert_refused, run

INT8, FLOAT32 = ASSETS / "drawn-int8.tflite", ASSETS / "drawn-float32.tflite"


def test_statistics_are_those_worked_out_by_hand() -> None:
    # 1..9 and an outlier: deviations from 5.5 are .5 .5 1.5 1.5 2.5 2.5 3.5 3.5 4.5 94.5
    assert describe(np.array([9.0, 1, 8, 2, 7, 3, 6, 4, 5, 100])) == {
        "runs": 10,
        "min": 1.0,
        "median": 5.5,
        "mad": 2.5,
        "p90": 18.1,  # 9 + 0.1 x (100 - 9)
        "p95": 59.05,
        "p99": 91.81,
    }


@given(st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=200))
def test_statistics_are_in_order_and_among_the_times(times: list[float]) -> None:
    found = describe(np.array(times))
    assert found["runs"] == len(times)
    assert found["min"] == round(min(times), 4)
    order = [found[name] for name in ("min", "median", "p90", "p95", "p99")]
    assert order == sorted(order)
    assert order[-1] <= round(max(times), 4)
    assert 0 <= found["mad"] <= round(max(times) - min(times), 4) + 1e-4


@pytest.mark.parametrize(("p90", "words"), [(1.4, []), (2.0, ["2.0 times the median"])])
def test_wide_spread_is_warned_of(p90: float, words: list[str]) -> None:
    found = spread_warnings({"median": 1.0, "p90": p90})
    assert len(found) == len(words)
    assert all(word in warning for word, warning in zip(words, found, strict=True))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return the results in the JSON file of one measurement of two models."""
    out = tmp_path_factory.mktemp("latency") / "below" / "latency.json"
    assert_done(run("emo-bench", "latency", INT8, FLOAT32, "--seconds", "0", "--json", out))
    written = json.loads(out.read_text())
    assert (written["schema"], written["kind"]) == (1, "latency")
    return list(written["results"])


def test_a_result_says_which_file_was_measured(measured: list[dict[str, Any]]) -> None:
    for result, model in zip(measured, (INT8, FLOAT32), strict=True):
        assert result["model"] == model.name
        assert result["sha256"] == sha256(model.read_bytes())
        assert result["bytes"] == model.stat().st_size


def test_a_result_says_how_and_how_long_it_was_measured(measured: list[dict[str, Any]]) -> None:
    for result in measured:
        times = result["milliseconds"]
        assert times["runs"] >= 1000
        assert 0 < times["min"] <= times["median"] <= times["p90"] <= times["p95"] <= times["p99"]
        assert result["threads"] == 1
        assert result["runtime"].startswith("tflite_runtime")
        assert result["warnings"] == spread_warnings(times)


def test_a_broken_model_does_not_stop_the_others(tmp_path: Path) -> None:
    broken, out = tmp_path / "broken.tflite", tmp_path / "latency.json"
    broken.write_bytes(b"no model at all")
    options = ("--seconds", "0", "--json", out)
    outcome = run("emo-bench", "latency", broken, INT8, *options)
    assert_refused(outcome, 4, str(broken), "not a .tflite model")
    assert INT8.name in outcome.stdout
    assert [r["model"] for r in json.loads(out.read_text())["results"]] == [INT8.name]


def test_nothing_is_written_if_no_model_could_be_measured(tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    assert_refused(run("emo-bench", "latency", tmp_path / "none.tflite", "--json", out), 4)
    assert not out.exists()
