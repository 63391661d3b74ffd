from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.playing import raspberry_pi
from emo_bench.conditions import conditions, machine_name, machine_warnings, same_machine

QUIET: dict[str, Any] = {
    "board": None,
    "cpu": "Some CPU",
    "machine": "x86_64",
    "cpus": 2,
    "load_per_cpu": 0.1,
    "governor": "performance",
    "megahertz": 1800.0,
    "max_megahertz": 1800.0,
    "throttling": {"now": (), "since_boot": ()},
    "celsius": 50.0,
    "counters": {"wall": 100.0, "own": 10.0, "busy": 20.0, "stolen": 1.0},
}
# Ten seconds later on two CPUs: 10 s of CPU time were our own.
LATER = {"counters": {"wall": 110.0, "own": 20.0, "busy": 30.5, "stolen": 1.0}}


def counters(**changed: float) -> dict[str, Any]:
    return {"counters": LATER["counters"] | changed}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({}, {}, []),
        ({}, {"governor": None, "megahertz": None, "throttling": None, "celsius": None}, []),
        ({"load_per_cpu": 0.8}, {}, ["load 0.8"]),
        ({}, {"load_per_cpu": 0.8}, []),  # by then it is the benchmark's own
        ({}, counters(busy=33.0), ["15%"]),
        ({}, counters(stolen=2.0), ["5%"]),
        ({}, counters(busy=None), []),
        ({}, {"governor": "ondemand"}, ["ondemand"]),
        ({}, {"megahertz": 600.0}, ["600 of 1800 MHz"]),
        ({}, {"celsius": 82.4}, ["82 C"]),
        ({}, {"throttling": {"now": ["throttled"], "since_boot": ["throttled"]}}, ["since boot"]),
        ({"load_per_cpu": 3.0}, {"governor": "powersave"}, ["load 3.0", "powersave"]),
    ],
)
def test_doubtful_conditions_are_warned_of(
    before: dict[str, Any], after: dict[str, Any], words: list[str]
) -> None:
    found = machine_warnings(QUIET | before, QUIET | LATER | after)
    assert len(found) == len(words), found
    for warning, word in zip(found, words, strict=True):
        assert word in warning


def test_conditions_of_this_machine_are_json_and_tell_versions() -> None:
    state = conditions()
    assert json.loads(json.dumps(state, allow_nan=False))["versions"] == state["versions"]
    assert state["versions"]["tflite-runtime"].startswith("2.")
    assert state["cpus"] >= state["usable_cpus"] >= 1
    assert same_machine(state, conditions())


def test_a_raspberry_pi_tells_its_state(tmp_path: Path) -> None:
    state = conditions(raspberry_pi(tmp_path, celsius=81.0, word=0x50005))
    assert state["board"] == "Raspberry Pi 4 Model B Rev 1.4"
    (governor, clock, hot, flags) = machine_warnings(state, state)
    assert "ondemand" in governor
    assert "600 of 1800 MHz" in clock
    assert "81 C" in hot
    assert "under-voltage, under-voltage since boot" in flags


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    state = conditions(tmp_path)
    unknown = ("board", "governor", "megahertz", "celsius")
    assert [state[name] for name in unknown] == [None] * 4
    assert state["counters"]["busy"] is None


@pytest.mark.parametrize("other", [{"cpu": "Another"}, {"cpus": 4}, {"board": "Pi"}])
def test_machines_differ_by_board_and_cpu(other: dict[str, Any]) -> None:
    assert not same_machine(QUIET, QUIET | other)
    assert machine_name(QUIET) == "Some CPU, x86_64, 2 CPUs"
    assert machine_name(QUIET) != machine_name(QUIET | other)
