"""The interpreter socket: which runtime is taken, and what it is fed."""

from __future__ import annotations

import struct
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.drawn import FLOAT32, INT8, scene
from emo_edge import backends
from emo_edge.backends import BACKENDS, Backend, Interpreter, find_backend, pixel_table
from emo_edge.contract import prepare
from emo_edge.errors import ModelError, UsageError
from emo_edge.modelfile import read_model

LIGHT = [b for b in BACKENDS.values() if b.installed and b.name != "tensorflow"]
GHOST = Backend("ghost", "no_such_runtime.interpreter", "no-such-runtime")


def test_auto_takes_the_first_installed_runtime() -> None:
    assert find_backend() == next(b for b in BACKENDS.values() if b.installed)


def test_auto_looks_for_the_lightest_runtime_first() -> None:
    assert list(BACKENDS) == ["tflite_runtime", "ai_edge_litert", "tensorflow"]


def test_an_unknown_backend_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match="auto, tflite_runtime, ai_edge_litert, tensorflow"):
        find_backend("onnx")


def test_a_backend_asked_for_by_name_is_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.BACKENDS, "ghost", GHOST)
    with pytest.raises(UsageError, match="pip install no-such-runtime"):
        find_backend("ghost")


def test_without_any_runtime_the_user_reads_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backends, "BACKENDS", {"ghost": GHOST})
    with pytest.raises(UsageError, match="pip install emo-toolkit"):
        find_backend()


@pytest.mark.parametrize(
    ("dtype", "quantization", "input_range", "expected"),
    [
        (np.uint8, (1.0, 0), (0.0, 255.0), [0, 1, 128, 255]),
        (np.int8, (1.0, -128), (0.0, 255.0), [-128, -127, 0, 127]),
        (np.uint8, (1 / 128, 128), (-1.0, 1.0), [0, 1, 129, 255]),
        (np.int8, (1.0, 0), (0.0, 255.0), [0, 1, 127, 127]),  # saturates, never wraps
        (np.float32, (0.0, 0), (0.0, 255.0), [0, 1, 128, 255]),
        (np.float32, (0.0, 0), (-1.0, 1.0), [-1, 2 / 255 - 1, 256 / 255 - 1, 1]),
    ],
)
def test_pixels_reach_the_model_in_its_own_numbers(
    dtype: type, quantization: tuple[float, int], input_range: tuple[float, float], expected: list
) -> None:
    table = pixel_table(np.dtype(dtype), quantization, input_range)
    assert table.dtype == dtype
    np.testing.assert_allclose(table[[0, 1, 128, 255]], expected, atol=1e-6)


@given(st.floats(0.004, 4), st.integers(-128, 127), st.floats(-3, 0), st.floats(1, 300))
def test_quantised_pixels_never_fall_where_brightness_rises(
    scale: float, zero_point: int, low: float, high: float
) -> None:
    try:
        table = pixel_table(np.dtype(np.int8), (scale, zero_point), (low, high))
    except UsageError:  # most of them lie beyond the ends
        return
    assert (np.diff(table.astype(int)) >= 0).all()


@pytest.mark.parametrize(
    ("dtype", "quantization", "wanted"),
    [
        (np.uint8, (1 / 128, 128), "-1 to 0.992: give --input-range -1 0.992"),
        (np.int8, (1 / 255, -128), "0 to 1: give --input-range 0 1"),
    ],
)
def test_pixels_that_would_all_be_one_value_are_refused(
    dtype: type, quantization: tuple[float, int], wanted: str
) -> None:
    with pytest.raises(UsageError, match=wanted):
        pixel_table(np.dtype(dtype), quantization, (0.0, 255.0))


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_an_input_type_without_a_meaning_is_refused(dtype: type) -> None:
    with pytest.raises(ModelError, match="use uint8, int8 or float32"):
        pixel_table(np.dtype(dtype), (1.0, 0), (0.0, 255.0))


def test_an_answer_depends_on_nothing_but_its_own_pixels() -> None:
    model = read_model(INT8)
    assert model.spec is not None
    picture, boxes = scene("happy", "surprised")
    faces = [prepare(picture, model.spec, box) for box in boxes]
    interpreter = Interpreter(model.flatbuffer, find_backend())
    first, other, again = (interpreter.run(faces[i]) for i in (0, 1, 0))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("path", [INT8, FLOAT32], ids=["int8", "float32"])
def test_an_answer_stays_when_the_next_one_is_given(path: Path) -> None:
    interpreter = Interpreter(read_model(path).flatbuffer, find_backend())
    black, white = (np.full(interpreter.input_shape, grey, np.uint8) for grey in (0, 255))
    kept = interpreter.run(black)
    as_given = kept.copy()
    assert not np.array_equal(interpreter.run(white), as_given)
    np.testing.assert_array_equal(kept, as_given)


@pytest.mark.parametrize("path", [INT8, FLOAT32], ids=["int8", "float32"])
def test_more_threads_give_the_same_answer(path: Path) -> None:
    flatbuffer = read_model(path).flatbuffer
    pixels = np.random.default_rng(1).integers(0, 256, (1, 48, 48, 1), np.uint8)
    one, two = (Interpreter(flatbuffer, find_backend(), threads) for threads in (1, 2))
    np.testing.assert_allclose(one.run(pixels), two.run(pixels), atol=1e-4)


@pytest.mark.parametrize("backend", LIGHT, ids=lambda backend: backend.name)
def test_8_bit_models_run_inside_xnnpack(backend: Backend) -> None:
    assert Interpreter(read_model(INT8).flatbuffer, backend).delegates() >= 1


@pytest.mark.skipif(not BACKENDS["tflite_runtime"].installed, reason="no wheel for this Python")
def test_what_xnnpack_cannot_compute_runs_on_the_runtimes_own_kernels() -> None:
    backend, flatbuffer = find_backend("tflite_runtime"), read_model(INT8).flatbuffer
    healthy = Interpreter(flatbuffer, backend)
    first = next(op for op in healthy.operators() if op["op_name"] == "CONV_2D")
    output = healthy._engine._get_tensor_details(int(first["outputs"][0]), 0)
    scale = struct.pack("<f", output["quantization"][0])
    assert flatbuffer.count(scale) == 1
    wild = Interpreter(flatbuffer.replace(scale, struct.pack("<f", 1e-7)), backend)
    assert wild.delegates() == 0
    assert wild.run(np.zeros(wild.input_shape, np.uint8)).shape == (5,)


class Tired:
    """A runtime that loads a model and then gives up, as some do for a damaged one."""

    def __init__(self, **_: Any) -> None:
        detail = {"index": 0, "dtype": np.uint8, "quantization": (1.0, 0)}
        self.allocate_tensors = lambda: None
        self.tensor = lambda _: lambda: np.zeros((1, 8, 8, 1), np.uint8)
        self.get_input_details = lambda: [detail | {"shape": np.array([1, 8, 8, 1])}]
        self.get_output_details = lambda: [detail | {"shape": np.array([1, 2])}]

    def invoke(self) -> None:
        raise RuntimeError("Input tensor 20 lacks data")


def test_a_runtime_that_gives_up_is_a_model_error(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("tired_runtime")
    module.Interpreter = Tired  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tired_runtime", module)
    interpreter = Interpreter(b"", Backend("tired", "tired_runtime", "none"))
    with pytest.raises(ModelError, match="cannot run the model: Input tensor 20 lacks data"):
        interpreter.run(np.zeros((1, 8, 8, 1), np.uint8))


def test_a_model_that_the_runtime_cannot_describe_is_refused() -> None:
    flatbuffer = read_model(INT8).flatbuffer
    assert b"serving_default" in flatbuffer  # the name of the input
    with pytest.raises(ModelError, match=f"{find_backend().version} refuses the model"):
        Interpreter(flatbuffer.replace(b"serving_default", b"\xff" * 15), find_backend())
