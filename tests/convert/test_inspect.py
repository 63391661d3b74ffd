"""`emo-convert inspect`: what any .tflite is, in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorflow.lite.tools import flatbuffer_utils

from emo_edge.modelfile import read_model
from running import ASSETS, assert_done, assert_refused, run

MODEL = ASSETS / "drawn-int8.tflite"


def facts(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        subject, told = line[:12].strip(), line[13:]
        found.setdefault(subject, []).append(told)
    return found


@pytest.fixture(scope="module")
def converted(models: dict[str, Path]) -> dict[str, list[str]]:
    outcome = run("emo-convert", "inspect", models["int8"])
    assert_done(outcome)
    return facts(outcome.stdout)


def test_a_model_of_ours_tells_where_it_comes_from(converted: dict[str, list[str]]) -> None:
    assert converted["labels"] == ["happy, sad"]
    assert converted["golden"] == ["8 vectors"]
    assert converted["made by"][0].startswith("emo-convert models --quantize int8")
    assert all("same top-1" in line for line in converted["parity"])


def test_it_tells_the_operators_and_who_can_run_them(converted: dict[str, list[str]]) -> None:
    assert " 12 x CONV_2D v3" in converted["operator"]
    assert converted["activations"][0].endswith("100% integer")
    assert [line.endswith(": yes") for line in converted["runs on"]] == [True] * 4
    (delegation,) = [line for line in converted["delegation"] if line.startswith("tflite_runtime")]
    assert delegation.endswith("in 1 piece(s) inside XNNPACK")


def test_a_plain_model_is_shown_too(tmp_path: Path) -> None:
    plain = tmp_path / "plain.tflite"
    plain.write_bytes(read_model(MODEL).flatbuffer)
    outcome = run("emo-convert", "inspect", plain)
    assert_done(outcome)
    assert "a plain .tflite" in facts(outcome.stdout)["metadata"][0]


def test_a_model_whose_provenance_has_another_form_is_shown_without() -> None:
    outcome = run("emo-convert", "inspect", MODEL)
    assert_done(outcome)
    told = facts(outcome.stdout)
    assert "another version" in told["made by"][0]
    assert told["operator"]


def a_model_of_two_outputs() -> bytes:
    content = flatbuffer_utils.convert_bytearray_to_object(bytearray(read_model(MODEL).flatbuffer))
    graph = content.subgraphs[0]
    graph.outputs = [*graph.outputs, graph.operators[-1].inputs[0]]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))


def test_a_model_that_no_runtime_here_can_run_is_shown_all_the_same(tmp_path: Path) -> None:
    odd = tmp_path / "odd.tflite"
    odd.write_bytes(a_model_of_two_outputs())
    outcome = run("emo-convert", "inspect", odd)
    assert_done(outcome)
    told = facts(outcome.stdout)
    assert told["operator"]
    assert all("cannot run it: a classifier has one input" in line for line in told["delegation"])


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    junk = tmp_path / "junk.tflite"
    junk.write_bytes(b"junk" * 100)
    assert_refused(run("emo-convert", "inspect", junk), 4, "is not a .tflite model")
