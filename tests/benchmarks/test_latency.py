from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emo_bench.children import in_own_process
from emo_bench.latency.operators import adding_up, milliseconds_of_parts
from emo_bench.latency.sweep import backend_names
from emo_edge.artifacts import sha256
from emo_edge.backends import BACKENDS
from emo_edge.errors import EmoError
from emo_edge.modelfile import read_model
from running import ASSETS, assert_done, assert_refused, run

INT8, FLOAT32 = ASSETS / "drawn-int8.tflite", ASSETS / "drawn-float32.tflite"
STAGES = ["decode", "detect", "crop", "prepare", "quantise", "invoke", "softmax", "smooth", "sinks"]

# Says what a measuring process has imported.
LOADED = """
import runpy, sys
runpy.run_module("emo_bench.latency.run", run_name="__main__")
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the result in the JSON file of one measurement."""
    out = tmp_path_factory.mktemp("latency") / "below" / "latency.json"
    assert_done(run("emo-bench", "latency", INT8, "--seconds", "0", "--json", out))
    written = json.loads(out.read_text())
    assert (written["schema"], written["kind"]) == (1, "latency")
    (result,) = written["results"]
    return dict(result)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return the results of a sweep over runtimes, by MLPerf's rule."""
    out = tmp_path_factory.mktemp("sweep") / "latency.json"
    points = ("--backends", "tflite_runtime,ai_edge_litert", "--threads", "1")
    short = ("--mlperf", "--seconds", "0", "--detector", "none", "--per-op")
    outcome = run("emo-bench", "latency", INT8, *points, *short, "--json", out)
    assert_done(outcome)
    assert "MLPerf" in outcome.stdout
    assert "in one delegate" in outcome.stdout
    return list(json.loads(out.read_text())["results"])


def enough_runs(result: dict[str, Any]) -> bool:
    """Whether there were 1,000 runs, or it is said that the machine was too slow for them."""
    runs = result["milliseconds"]["runs"]
    return runs >= 1000 or any(f"only {runs} runs" in text for text in result["warnings"])


def test_a_result_says_which_file_was_measured_on_what(measured: dict[str, Any]) -> None:
    assert measured["model"] == INT8.name
    assert measured["sha256"] == sha256(INT8.read_bytes())
    assert measured["bytes"] == INT8.stat().st_size
    assert measured["runtime"].startswith("tflite_runtime")
    assert measured["threads"] == 1


def test_a_thousand_runs_of_several_processes_are_described(measured: dict[str, Any]) -> None:
    times = measured["milliseconds"]
    assert enough_runs(measured)
    order = [times[name] for name in ("min", "median", "p90", "p95", "p99", "max")]
    assert order == sorted(order)
    assert order[0] > 0
    assert len(measured["process_medians"]) == 5
    assert len(measured["block_medians"]) == 20
    assert times["min"] <= min(measured["block_medians"])
    assert measured["per_second"] > 0
    assert measured["cpu_milliseconds"]["runs"] == 5


def test_a_cold_start_is_told_step_by_step(measured: dict[str, Any]) -> None:
    cold = measured["cold_start"]
    assert list(cold) == ["process", "import", "load", "first_result", "total"]
    assert all(step["runs"] == 5 and step["min"] > 0 for step in cold.values())
    parts = sum(step["min"] for name, step in cold.items() if name != "total")
    assert cold["total"]["min"] >= parts - 0.01
    assert 10 < measured["resident_mib"]["min"] < 1000


def test_the_stages_are_those_of_the_loop(measured: dict[str, Any]) -> None:
    stages = measured["stages"]
    assert stages["size"] == [640, 480]
    assert stages["detector"] == "haar"  # what ran, not "auto"
    assert list(stages["milliseconds"]) == STAGES
    assert all(times["runs"] >= 20 for times in stages["milliseconds"].values())


def test_the_operators_are_those_of_the_file(measured: dict[str, Any]) -> None:
    # Known from TensorFlow's own schema (emo_convert.anatomy.dissect).
    made = measured["operators"]
    assert made["macs"] == 8_248_560
    assert made["operators"] == len(made["list"]) == 24
    assert Counter(op["operator"] for op in made["list"]) == {
        "QUANTIZE": 1,
        "MUL": 1,
        "ADD": 5,
        "CONV_2D": 12,
        "AVERAGE_POOL_2D": 3,
        "MEAN": 1,
        "FULLY_CONNECTED": 1,
    }


def test_a_sweep_measures_every_point(swept: list[dict[str, Any]]) -> None:
    points = [(r["runtime"].split()[0], r["threads"]) for r in swept]
    assert points == [("tflite_runtime", 1), ("ai_edge_litert", 1)]


def test_the_share_inside_a_delegate_is_told(swept: list[dict[str, Any]]) -> None:
    for made in (result["operators"] for result in swept):
        assert made["delegates"] >= 1
        assert 0 < made["delegated"] <= made["operators"] == swept[0]["operators"]["operators"]
        convolutions = [op for op in made["list"] if op["operator"] == "CONV_2D"]
        assert convolutions
        assert all(op["delegated"] for op in convolutions)


def test_every_operator_and_every_piece_of_a_delegate_has_a_time(
    swept: list[dict[str, Any]],
) -> None:
    for result in swept:
        made = result["operators"]
        pieces = [piece["milliseconds"] for piece in made["partitions"]]
        for times in (made["whole"], *(op["milliseconds"] for op in made["list"]), *pieces):
            assert times["runs"] >= 11
            assert 0 <= times["low"] <= times["median"] <= times["high"]
        dearest = max(made["list"], key=lambda op: op["milliseconds"]["median"])
        assert 0 < dearest["milliseconds"]["median"] < made["whole"]["high"]
        taken = sorted(n for piece in made["partitions"] for n in piece["operators"])
        assert taken == [n for n, op in enumerate(made["list"]) if op["delegated"]]
        assert all(piece["pieces"] == 1 for piece in made["partitions"])


def test_parts_that_do_not_add_up_to_the_whole_are_not_to_be_trusted() -> None:
    def times(median: float) -> dict[str, float]:
        return {"median": median}

    made = {
        "list": [{"milliseconds": times(ms)} for ms in (0.1, 0.2, 0.3)] + [{"milliseconds": None}],
        "partitions": [{"operators": [1, 2], "pieces": 1, "milliseconds": times(0.4)}],
        "whole": times(0.52),
    }
    assert milliseconds_of_parts(made) == pytest.approx(0.5)
    assert adding_up(made) == []
    (reason,) = adding_up(made | {"whole": times(0.9)})
    assert "0.500 ms together, all in one 0.900 ms" in reason
    made["partitions"] = [{"operators": [1, 2], "pieces": 2, "milliseconds": times(0.4)}]
    assert "another by itself" in adding_up(made)[0]


def test_mlperf_makes_one_stream_and_says_that_it_was_too_short(
    swept: list[dict[str, Any]],
) -> None:
    for result in swept:
        stream = result["mlperf"]
        assert len(result["process_medians"]) == 1
        assert enough_runs(result)
        assert stream["queries"] == result["milliseconds"]["runs"]
        assert stream["p90_estimate"] >= result["milliseconds"]["p90"]
        assert not stream["valid"]


def test_all_runtimes_are_those_installed() -> None:
    installed = [name for name, backend in BACKENDS.items() if backend.installed]
    assert backend_names("all") == installed
    assert backend_names("device") == [name for name in installed if name != "tensorflow"]


def test_the_measuring_process_never_imports_tensorflow(tmp_path: Path) -> None:
    task = {
        "model": str(INT8),
        "backend": "tflite_runtime",
        "threads": 1,
        "labels": None,
        "input_range": None,
        "runs": 1,
        "seconds": 0,
        "most_seconds": 30,
        "times": str(tmp_path / "times.npy"),
        "spawned": time.monotonic(),
    }
    words = [sys.executable, "-c", LOADED, json.dumps(task)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert "tflite_runtime" in loaded
    assert "tensorflow" not in loaded
    assert len(np.load(tmp_path / "times.npy")) == 1


def test_a_broken_model_does_not_stop_the_others(tmp_path: Path) -> None:
    broken, out = tmp_path / "broken.tflite", tmp_path / "latency.json"
    broken.write_bytes(b"no model at all")
    options = ("--seconds", "0", "--mlperf", "--json", out)
    outcome = run("emo-bench", "latency", broken, FLOAT32, *options)
    assert_refused(outcome, 4, str(broken), "not a .tflite model")
    written = json.loads(out.read_text())
    assert [result["model"] for result in written["results"]] == [FLOAT32.name]
    assert [(f["exit_code"], broken.name in f["subject"]) for f in written["failures"]] == [
        (4, True)
    ]


def test_failures_are_written_even_if_no_model_could_be_measured(tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    assert_refused(run("emo-bench", "latency", tmp_path / "none.tflite", "--json", out), 4)
    written = json.loads(out.read_text())
    assert written["results"] == []
    assert [failure["exit_code"] for failure in written["failures"]] == [4]


def test_a_net_is_measured_in_its_int8_file_on_every_runtime(tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    points = ("--backends", "tflite_runtime,ai_edge_litert", "--seconds", "0")
    assert_done(run("emo-bench", "latency", "micro", *points, "--detector", "none", "--json", out))
    files = [result["model"] for result in json.loads(out.read_text())["results"]]
    assert files == ["micro-int8.tflite", "micro-int8.tflite"]


def test_a_plain_model_is_measured_with_labels_given(tmp_path: Path) -> None:
    plain, labels = tmp_path / "plain.tflite", tmp_path / "labels.txt"
    model = read_model(FLOAT32)
    assert model.spec is not None
    plain.write_bytes(model.flatbuffer)
    labels.write_text("\n".join(model.spec.labels))
    options = ("--mlperf", "--seconds", "0")
    given = ("--model-labels", labels, "--input-range", "0", "255")
    assert_done(run("emo-bench", "latency", plain, INT8, *options, *given))
    assert_refused(run("emo-bench", "latency", INT8, *options, *given), 2, "carries its own")
    assert_refused(run("emo-bench", "latency", plain, *options), 2, "--model-labels FILE")


def test_a_name_of_no_model_does_not_stop_the_others(tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    options = ("--seconds", "0", "--mlperf", "--detector", "none", "--json", out)
    assert_refused(run("emo-bench", "latency", "mikro", INT8, *options), 2, "no model 'mikro'")
    assert [result["model"] for result in json.loads(out.read_text())["results"]] == [INT8.name]


def test_a_process_that_fails_without_a_word_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "speechless.py").write_text("raise SystemExit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EmoError, match=r"speechless on m\.tflite gave no reason") as caught:
        in_own_process("speechless", {"model": "m.tflite"})
    assert caught.value.exit_code == 3


def test_a_picture_without_a_face_is_refused(tmp_path: Path) -> None:
    picture = tmp_path / "wall.png"
    cv2.imwrite(str(picture), np.full((120, 160, 3), 128, np.uint8))
    options = ("--mlperf", "--seconds", "0", "--detector", "haar")
    outcome = run("emo-bench", "latency", INT8, *options, "--picture", picture)
    assert_refused(outcome, 7, "no face found", "--picture")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--threads", "0"), "1,2,4"),
        (("--threads", "1,two"), "1,2,4"),
        (("--backends", "tflite_runtime,other"), "unknown backend 'other'"),
    ],
)
def test_points_that_cannot_be_measured_are_refused(options: tuple[str, str], word: str) -> None:
    assert_refused(run("emo-bench", "latency", INT8, *options), 2, word)
