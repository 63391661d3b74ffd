"""The interpreter socket: one small class over whichever TFLite runtime is installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emo_edge.contract import Image
from emo_edge.errors import ModelError, UsageError
from emo_edge.messages import hushed
from emo_edge.xnnpack import eight_bit_delegates


@dataclass(frozen=True)
class Backend:
    """A TFLite runtime: its name for people, the module and the distribution it comes from."""

    name: str
    module: str
    distribution: str

    @property
    def installed(self) -> bool:
        """Whether its module can be found (without importing it)."""
        return importlib.util.find_spec(self.module.split(".", maxsplit=1)[0]) is not None

    @property
    def version(self) -> str:
        """Name and installed version, e.g. "tflite_runtime 2.14.0"."""
        from importlib import metadata  # no run asks: 2 MB with what it brings

        try:
            return f"{self.name} {metadata.version(self.distribution)}"
        except metadata.PackageNotFoundError:
            return f"{self.name} of unknown version"


# In the order in which "auto" looks: the lightest first, TensorFlow only where nothing else is.
BACKENDS = {
    backend.name: backend
    for backend in (
        Backend("tflite_runtime", "tflite_runtime.interpreter", "tflite-runtime"),
        Backend("ai_edge_litert", "ai_edge_litert.interpreter", "ai-edge-litert"),
        Backend("tensorflow", "tensorflow.lite.python.interpreter", "tensorflow"),
    )
}
MOST_CLIPPED = 0.5  # of the 256 pixel values: beyond it, nearly every face is one white


def find_backend(name: str = "auto") -> Backend:
    """Return the named backend, or the first installed one; raises `UsageError` if there is none.

    Only "auto" chooses: a backend asked for by name is never replaced by another.
    """
    if name == "auto":
        for backend in BACKENDS.values():
            if backend.installed:
                return backend
        raise UsageError("no TFLite runtime is installed; run: pip install emo-toolkit")
    if name not in BACKENDS:
        raise UsageError(f"unknown backend {name!r}; choose from auto, {', '.join(BACKENDS)}")
    if not BACKENDS[name].installed:
        distribution = BACKENDS[name].distribution
        raise UsageError(f"backend {name} is not installed; run: pip install {distribution}")
    return BACKENDS[name]


class Interpreter:
    """A loaded model: uint8 pixels in, real-valued outputs out.

    The first input and output tensor are used; a model with more is refused. Pixels reach the
    model through a table of 256 entries, so that one copy serves every input type and range.

    Args:
        flatbuffer: The .tflite bytes.
        backend: From `find_backend`.
        threads: Threads of the runtime; more than one rarely pays on nets this small.
        input_range: Values that the pixels 0 and 255 are mapped to.
    """

    def __init__(
        self,
        flatbuffer: bytes,
        backend: Backend,
        threads: int = 1,
        input_range: tuple[float, float] = (0.0, 255.0),
    ) -> None:
        self.backend = backend
        try:
            self._engine = load_engine(flatbuffer, backend, threads)
            inputs, outputs = self._engine.get_input_details(), self._engine.get_output_details()
        # MemoryError: a damaged model asks for more than there is.
        except (ValueError, RuntimeError, MemoryError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"{backend.version} refuses the model: {reason}") from error
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"a classifier has one input and one output, this model {len(inputs)} and "
                f"{len(outputs)}"
            )
        self._input, self._output = inputs[0], outputs[0]
        self.input_shape = tuple(int(n) for n in self._input["shape"])
        self.output_shape = tuple(int(n) for n in self._output["shape"])
        self.input_dtype = np.dtype(self._input["dtype"])
        self._table = pixel_table(self.input_dtype, self._input["quantization"], input_range)
        self._indices = np.zeros(self.input_shape, np.intp)  # numpy would make it anew every time
        self._dequantise = _dequantiser(self._output)

    def delegates(self) -> int:
        """Return how many pieces of the model run inside a delegate (XNNPACK): 0 is none of it.

        The runtime's log line about a delegate proves nothing; its list of operators does.
        """
        return sum(op["op_name"] == "DELEGATE" for op in self.operators())

    def operators(self) -> list[dict[str, Any]]:
        """Return the runtime's own list: `op_name`, and `inputs` and `outputs` as tensor indices.

        The operators that a delegate took over stay in the list, before its DELEGATE entry.
        """
        return list(self._engine._get_ops_details())

    def tensor(self, index: int) -> tuple[tuple[int, ...], str]:
        """Return shape and element type of a tensor of the model."""
        details = self._engine._get_tensor_details(index, 0)
        return tuple(int(n) for n in details["shape"]), np.dtype(details["dtype"]).name

    def run(self, pixels: Image) -> NDArray[np.float32]:
        """Return the outputs float32[n] for `pixels` uint8[1,height,width,channels].

        Raises `ModelError` if the runtime gives up (a damaged model that loads all the same).
        """
        self.feed(pixels)
        self.invoke()
        return self.outputs()

    def feed(self, pixels: Image) -> None:
        """Hand `pixels` to the runtime in the model's input type: the first step of `run`."""
        # Straight into the runtime's memory: no copy, and with mode="clip" none by numpy either.
        # Nobody may keep that view: the runtime does not run while one is held.
        tensor = self._engine.tensor(self._input["index"])()
        np.copyto(self._indices, pixels)
        np.take(self._table, self._indices, out=tensor, mode="clip")

    def invoke(self) -> None:
        """Let the runtime work on what it was fed: the second step of `run`."""
        try:
            self._engine.invoke()
        except (RuntimeError, MemoryError) as error:
            raise ModelError(f"{self.backend.version} cannot run the model: {error}") from error

    def outputs(self) -> NDArray[np.float32]:
        """Return the real-valued outputs float32[n] of the last `invoke`: the third step."""
        return self._dequantise(self._engine.tensor(self._output["index"])()[0])  # a copy


def load_engine(flatbuffer: bytes, backend: Backend, threads: int) -> Any:
    """Return the runtime's own interpreter, allocated, with 8-bit operators on XNNPACK too.

    Raises what the runtime raises: ValueError, RuntimeError or MemoryError.
    """
    with hushed():
        runtime = importlib.import_module(backend.module)
        options = {"model_content": flatbuffer, "num_threads": threads}
        delegates = eight_bit_delegates(runtime, threads)
        try:
            engine = runtime.Interpreter(**options, experimental_delegates=delegates)
        except RuntimeError:
            if not delegates:
                raise
            # XNNPACK refuses what it cannot compute (scales too far apart); the runtime's own
            # kernels may. Doctor, tune and inspect tell where a model runs.
            engine = runtime.Interpreter(**options)
        engine.allocate_tensors()
    return engine


def pixel_table(
    dtype: np.dtype[Any], quantization: tuple[float, int], input_range: tuple[float, float]
) -> NDArray[Any]:
    """Return what each pixel 0-255 becomes in the model's input type.

    A quantised input holds q with real = scale x (q - zero point); a pixel p stands for
    low + p x (high - low) / 255.

    Raises `ModelError` for another type, `UsageError` if most pixels lie beyond what it can hold.
    """
    low, high = input_range
    real = low + np.arange(256) * ((high - low) / 255.0)
    if dtype.kind == "f":
        return np.asarray(real, dtype)
    scale, zero_point = quantization
    if dtype not in (np.uint8, np.int8) or not scale:
        raise ModelError(f"input of type {dtype} is not supported: use uint8, int8 or float32")
    limits = np.iinfo(dtype)
    exact = np.round(real / scale) + zero_point
    quantised = np.clip(exact, limits.min, limits.max)
    if np.mean(exact != quantised) > MOST_CLIPPED:
        least, most = (scale * (end - zero_point) for end in (limits.min, limits.max))
        raise UsageError(
            f"pixels as {low:g} to {high:g} do not fit this model, whose input goes from "
            f"{least:.3g} to {most:.3g}: give --input-range {least:.3g} {most:.3g}"
        )
    return np.asarray(quantised, dtype)


def _dequantiser(
    output: dict[str, Any],
) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    scale, zero_point = output["quantization"]
    dtype = np.dtype(output["dtype"])
    if dtype.kind == "f":
        return lambda raw: raw.astype(np.float32)
    if dtype not in (np.uint8, np.int8) or not scale:
        raise ModelError(f"output of type {dtype} is not supported: use uint8, int8 or float32")
    return lambda raw: (raw.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
