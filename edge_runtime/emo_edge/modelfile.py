"""One file travels to the device: a .tflite with its metadata appended as a zip.

The convention is that of TFLite Metadata's associated files: `unzip -l model.tflite` lists them and
every TFLite runtime still loads the file. Inside:

    labels.txt                 one label a line, in the order of the outputs
    emo_spec.json              the `ModelSpec`
    flatbuffer.sha256          of the bytes before the zip: damage is found before they are run
    golden_pixels.npy          uint8[k,height,width,channels]: synthetic inputs
    golden_probabilities.npy   float32[k,n]: what the runtime that passed the parity gate answered
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emo_edge.artifacts import read_at_most, sha256
from emo_edge.contract import Image, Probabilities
from emo_edge.errors import DataError, ModelError
from emo_edge.flatbuffer import IDENTIFIER, verify
from emo_edge.spec import ModelSpec

LABELS, SPEC, DIGEST = "labels.txt", "emo_spec.json", "flatbuffer.sha256"
GOLDEN_PIXELS, GOLDEN_PROBABILITIES = "golden_pixels.npy", "golden_probabilities.npy"

DECISIVE_MARGIN = 0.2  # of probability, between the first and the second class

MAX_MODEL_BYTES = 256 << 20
# Of the metadata, to refuse zip bombs before they unfold. JSON takes twenty times its size.
MAX_TEXT_BYTES, MAX_GOLDEN_BYTES = 1 << 20, 64 << 20


@dataclass(frozen=True)
class Golden:
    """Inputs and the outputs that a healthy runtime gives for them."""

    pixels: Image
    probabilities: Probabilities

    @property
    def margins(self) -> Probabilities:
        """How far the first class is ahead of the second, float32[k]."""
        two = np.sort(self.probabilities, axis=1)[:, -2:]
        return np.asarray(two[:, 1] - two[:, 0])

    @property
    def decisive(self) -> NDArray[np.bool_]:
        """Which vectors have so clear a winner that no healthy runtime picks another: bool[k].

        Runtimes differ by some steps of 1/256, which can turn a narrow decision.
        """
        return np.asarray(self.margins >= DECISIVE_MARGIN, np.bool_)


@dataclass(frozen=True)
class ModelFile:
    """A model file taken apart: the flatbuffer, what its metadata says, its golden vectors.

    `spec` is None for a plain .tflite without metadata.
    """

    flatbuffer: bytes
    spec: ModelSpec | None
    golden: Golden | None


def pack(flatbuffer: bytes, spec: ModelSpec, golden: Golden | None = None) -> bytes:
    """Return `flatbuffer` with its metadata appended; the same input gives the same bytes."""
    entries = {
        LABELS: "".join(f"{label}\n" for label in spec.labels).encode(),
        SPEC: _json_bytes(spec),
        DIGEST: sha256(flatbuffer).encode(),
    }
    if golden is not None:
        entries[GOLDEN_PIXELS] = _npy_bytes(golden.pixels)
        entries[GOLDEN_PROBABILITIES] = _npy_bytes(golden.probabilities)
    buffer = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            # A fixed date keeps the bytes reproducible.
            archive.writestr(
                zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED
            )
    return buffer.getvalue()


def read_model(path: Path) -> ModelFile:
    """Take a model file apart; raises `ModelError` if it is none, or damaged."""
    try:
        content = read_at_most(path, MAX_MODEL_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"cannot read model {path}: {reason}") from error
    if content[4:8] != IDENTIFIER:
        raise ModelError(f"{path} is not a .tflite model")
    # Looked for in the bytes, so that a damaged directory does not hide an entry.
    try:
        found = _take_apart(content) if SPEC.encode() in content else ModelFile(content, None, None)
    except Exception as error:  # zipfile raises whatever comes to hand for damaged bytes
        raise _damaged(path, error) from error
    try:
        verify(found.flatbuffer)
    except ModelError as error:
        raise _damaged(path, error) from error
    return found


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path} is damaged ({error}): copy or convert it again")


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a labels file, one label a line, for a model that carries none."""
    try:
        # Windows writes a byte-order mark.
        text = read_at_most(path, MAX_TEXT_BYTES).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read labels {path}: {error}") from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _take_apart(content: bytes) -> ModelFile:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        flatbuffer = content[: min(info.header_offset for info in archive.infolist())]
        if _entry(archive, DIGEST).decode() != sha256(flatbuffer):
            raise ModelError("its checksum does not match")
        spec = ModelSpec.from_json(_entry(archive, SPEC))
        if _entry(archive, LABELS).decode().splitlines() != list(spec.labels):
            raise ModelError("labels.txt contradicts its spec")
        golden = _read_golden(archive, spec) if GOLDEN_PIXELS.encode() in content else None
    return ModelFile(flatbuffer, spec, golden)


def _entry(archive: zipfile.ZipFile, name: str) -> bytes:
    limit = MAX_GOLDEN_BYTES if name.endswith(".npy") else MAX_TEXT_BYTES
    if archive.getinfo(name).file_size > limit:
        raise ModelError(f"{name} is too large")
    return archive.read(name)


def _read_golden(archive: zipfile.ZipFile, spec: ModelSpec) -> Golden:
    def array(name: str) -> NDArray[Any]:
        loaded = np.load(io.BytesIO(_entry(archive, name)), allow_pickle=False)
        return np.asarray(loaded)

    pixels, outputs = array(GOLDEN_PIXELS), array(GOLDEN_PROBABILITIES)
    if pixels.dtype != np.uint8 or pixels.shape[1:] != spec.input_shape[1:] or not pixels.size:
        raise ModelError("its golden inputs contradict its spec")
    if outputs.dtype != np.float32 or outputs.shape != (len(pixels), len(spec.labels)):
        raise ModelError("its golden outputs contradict its spec")
    return Golden(pixels, outputs)


def _json_bytes(spec: ModelSpec) -> bytes:
    return json.dumps(spec.to_json(), indent=2, ensure_ascii=False, allow_nan=False).encode()


def _npy_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()
