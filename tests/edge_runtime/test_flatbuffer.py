"""What is looked through before a runtime sees it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.drawn import FLOAT32, INT8
from emo_edge.errors import ModelError
from emo_edge.flatbuffer import verify
from emo_edge.modelfile import read_model
from emo_edge.shipped import shipped_models

MODELS = {path.stem: read_model(path).flatbuffer for path in (INT8, FLOAT32)}
WHOLE = MODELS["drawn-int8"]


@pytest.mark.parametrize("path", [INT8, FLOAT32, *shipped_models().values()], ids=lambda p: p.stem)
def test_a_whole_model_passes(path: Path) -> None:
    verify(read_model(path).flatbuffer)


@pytest.mark.parametrize("left", [0, 3, 8, 64, 1000, 0.5, 0.9, 0.99])
def test_a_truncated_model_is_refused(left: float) -> None:
    with pytest.raises(ModelError):
        verify(WHOLE[: int(left if left >= 3 or not left else left * len(WHOLE))])


@given(
    name=st.sampled_from(sorted(MODELS)),
    at=st.floats(0, 0.12),
    number=st.sampled_from([0xFFFFFFF0, 0x7FFFFFFF, 0x10000000, 0x00FFFFFF]),
)
def test_a_number_that_leads_out_of_the_file_raises_nothing_else(
    name: str, at: float, number: int
) -> None:
    content = bytearray(MODELS[name])
    place = len(content) - 4 - int(at * len(content))  # the tables lie at the end
    content[place : place + 4] = struct.pack("<I", number)
    try:
        verify(bytes(content))
    except ModelError as error:
        assert str(error)


def test_one_table_many_times_over_is_refused() -> None:
    """A small file whose lists refer to each other would take days to look through."""
    table = struct.pack("<HHHHH", 10, 12, 0, 0, 8)  # directory: field 2 lies at 8
    root = struct.pack("<I4sHxx", 24, b"TFL3", 0) + table + b"\0\0"
    content = bytearray(root)
    start = len(content)
    content[0:4] = struct.pack("<I", start)
    content += struct.pack("<iII", start - 12, 0, 4)
    count = 20_000
    content += struct.pack("<I", count) + struct.pack("<I", 0) * count
    with pytest.raises(ModelError, match="20000 tables"):
        verify(bytes(content))
