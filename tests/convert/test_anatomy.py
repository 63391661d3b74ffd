"""What a .tflite is made of, and which runtimes accept it."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emo_convert.anatomy import Anatomy, dissect
from emo_convert.runtimes import OLDEST, RUNTIMES, accepted, refusals, runs_on
from emo_edge.errors import ModelError, UsageError
from emo_edge.modelfile import read_model
from running import ASSETS

INT8 = read_model(ASSETS / "drawn-int8.tflite").flatbuffer
FLOAT = read_model(ASSETS / "drawn-float32.tflite").flatbuffer


def with_operators(**versions: int) -> Anatomy:
    operators = dict.fromkeys(versions.items(), 1)
    return dataclasses.replace(dissect(INT8), operators=operators)


def test_an_int8_model_is_integer_throughout_and_its_batch_norm_is_folded() -> None:
    anatomy = dissect(INT8)
    counts = {name: count for (name, _), count in anatomy.operators.items()}
    # One scaling of the pixels (MUL, ADD) and four shortcuts (ADD): no batch norm is left.
    assert counts == {
        "QUANTIZE": 1, "MUL": 1, "ADD": 5, "CONV_2D": 12, "AVERAGE_POOL_2D": 3, "MEAN": 1,
        "FULLY_CONNECTED": 1,
    }  # fmt: skip
    assert anatomy.integer_share == 1.0
    assert anatomy.float_tensors == ()


def test_a_float_model_is_float_throughout() -> None:
    anatomy = dissect(FLOAT)
    assert anatomy.integer_share == 0.0
    assert anatomy.weight_bytes > 3.5 * dissect(INT8).weight_bytes


def test_the_cost_is_that_of_the_layers() -> None:
    stem = 48 * 48 * 8 * 9
    stages = 48 * 48 * 9 * 2 * 8 * 8
    for size, before, after in ((24, 8, 16), (12, 16, 32), (6, 32, 48)):
        stages += size * size * (9 * before * after + 9 * after * after + before * after)
    assert dissect(INT8).macs == dissect(FLOAT).macs == stem + stages + 48 * 5


@given(st.binary(max_size=400))
def test_junk_is_no_model(content: bytes) -> None:
    with pytest.raises(ModelError):
        dissect(content)


@given(st.integers(0, len(INT8) - 1), st.integers(0, 255))
def test_a_flipped_byte_gives_an_anatomy_or_a_model_error(place: int, value: int) -> None:
    content = bytearray(INT8)
    content[place] = value
    try:
        dissect(bytes(content))
    except ModelError as error:
        assert "cannot be read" in str(error)


def test_the_shipped_tables_know_every_runtime_and_newer_ones_accept_more() -> None:
    for older, newer in itertools.pairwise(RUNTIMES):
        for name, (low, high) in accepted(older).items():
            newer_low, newer_high = accepted(newer)[name]
            assert newer_low <= low and high <= newer_high, name


def test_our_models_run_on_every_runtime() -> None:
    assert runs_on(dissect(INT8)) == runs_on(dissect(FLOAT)) == list(RUNTIMES)


def test_an_operator_that_is_too_new_is_named_with_its_fix() -> None:
    dense = with_operators(FULLY_CONNECTED=12)
    (refusal,) = refusals(dense, OLDEST)
    assert "; use per-tensor weights" in refusal
    assert "FULLY_CONNECTED version 12" in refusal
    assert "per-tensor weights" in refusal
    assert runs_on(dense) == ["litert-1.2", "litert-1.4", "litert-2.3"]


def test_an_operator_that_no_runtime_knows_runs_nowhere() -> None:
    assert runs_on(with_operators(NO_SUCH_OPERATOR=1)) == []
    (refusal,) = refusals(with_operators(NO_SUCH_OPERATOR=1), OLDEST)
    assert refusal.endswith("; replace the layer that makes it, or choose a newer --runtime")


def test_an_unknown_runtime_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match=", ".join(RUNTIMES)):
        accepted("tflite-runtime-1.0")
