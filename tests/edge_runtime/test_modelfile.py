"""The one-file model: packed, read, refused when damaged."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.drawn import FLOAT32, INT8, flipped, labels_file, save, scene
from emo_edge.backends import Interpreter, find_backend
from emo_edge.errors import DataError, ModelError
from emo_edge.modelfile import SPEC, Golden, ModelFile, pack, read_labels, read_model
from emo_edge.spec import ModelSpec

MODEL = INT8.read_bytes()
PARTS = read_model(INT8)
SPEC_BEGINS = MODEL.index(SPEC.encode())


def appended(flatbuffer: bytes, entries: dict[str, bytes]) -> bytes:
    """Append a zip by hand, as a stranger might."""
    buffer = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def entries(content: bytes = MODEL) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def same(a: ModelFile, b: ModelFile) -> bool:
    if (a.golden is None) != (b.golden is None) or a.flatbuffer != b.flatbuffer:
        return False
    arrays = a.golden is None or (
        np.array_equal(a.golden.pixels, b.golden.pixels)
        and np.array_equal(a.golden.probabilities, b.golden.probabilities)
    )
    return a.spec == b.spec and arrays


def read_or_refuse(path: Path) -> ModelFile | None:
    """Read a model; None if it is refused as promised, anything else escapes."""
    try:
        return read_model(path)
    except ModelError:
        return None


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models") / "model.tflite"


@pytest.mark.parametrize("path", [INT8, FLOAT32], ids=["int8", "float32"])
def test_a_packed_model_is_read_back_and_packs_to_the_same_bytes(path: Path) -> None:
    model = read_model(path)
    assert model.spec is not None
    assert model.golden is not None
    assert pack(model.flatbuffer, model.spec, model.golden) == path.read_bytes()


def test_the_metadata_is_a_zip_that_any_tool_lists() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(INT8)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert PARTS.spec is not None
    assert "labels.txt" in listed
    assert "emo_spec.json" in listed
    assert entries()["labels.txt"].decode().splitlines() == list(PARTS.spec.labels)


def test_any_runtime_loads_the_file_with_its_metadata() -> None:
    pixels = np.full((1, 48, 48, 1), 90, np.uint8)
    whole, bare = (Interpreter(m, find_backend()) for m in (MODEL, PARTS.flatbuffer))
    np.testing.assert_array_equal(whole.run(pixels), bare.run(pixels))


def test_a_plain_tflite_is_read_without_metadata(tmp_path: Path) -> None:
    plain = read_model(written(tmp_path / "plain.tflite", PARTS.flatbuffer))
    assert plain == ModelFile(PARTS.flatbuffer, None, None)


def test_a_tflite_with_a_strangers_zip_is_a_plain_one(tmp_path: Path) -> None:
    content = appended(PARTS.flatbuffer, {"labels.txt": b"a\nb\n"})
    assert read_model(written(tmp_path / "other.tflite", content)).spec is None


@pytest.mark.parametrize(
    "content", [b"", b"TFL3", b"not a model at all", b"PK\x05\x06" + bytes(18)]
)
def test_what_is_no_tflite_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ModelError, match=r"is not a \.tflite model"):
        read_model(written(tmp_path / "m.tflite", content))


def test_a_jpeg_with_a_models_name_is_refused(tmp_path: Path) -> None:
    jpeg = save(tmp_path / "face.jpg", scene("happy")[0])
    with pytest.raises(ModelError, match=r"is not a \.tflite model"):
        read_model(jpeg.rename(tmp_path / "face.tflite"))


def test_a_missing_model_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "gone.tflite", "No such file"), (tmp_path, "directory")):
        with pytest.raises(ModelError, match=reason):
            read_model(path)


def test_a_damaged_flatbuffer_is_found_by_its_checksum(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="checksum does not match"):
        read_model(written(tmp_path / "m.tflite", flipped(MODEL, 50_000)))


@settings(max_examples=150)
@given(cut=st.integers(0, len(MODEL) - 1))
def test_a_truncated_model_is_never_taken_for_a_whole_one(scratch: Path, cut: int) -> None:
    model = read_or_refuse(written(scratch, MODEL[:cut]))
    if model is not None:
        # Nothing of our metadata is left to be seen: it looks like a plain .tflite.
        assert model == ModelFile(MODEL[:cut], None, None)
        assert cut < SPEC_BEGINS + len(SPEC)


@settings(max_examples=250)
@given(
    position=st.integers(0, len(MODEL) - 1) | st.integers(len(MODEL) - 700, len(MODEL) - 1),
    mask=st.integers(1, 255),
)
def test_a_flipped_byte_is_refused_or_harmless(scratch: Path, position: int, mask: int) -> None:
    model = read_or_refuse(written(scratch, flipped(MODEL, position, mask)))
    if model is not None and position not in range(4):  # TFLite uses its first four bytes itself
        assert same(model, PARTS)


@given(st.binary(max_size=300))
def test_junk_after_the_magic_bytes_raises_nothing_but_model_error(
    scratch: Path, junk: bytes
) -> None:
    content = b"\x1c\0\0\0TFL3" + junk
    assert read_or_refuse(written(scratch, content)) in (None, ModelFile(content, None, None))


@given(st.binary(max_size=300))
def test_junk_in_place_of_the_directory_is_refused(scratch: Path, junk: bytes) -> None:
    assert read_or_refuse(written(scratch, MODEL[: SPEC_BEGINS + 40] + junk)) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels.txt": b"happy\nangry\nneutral\nsad\nsurprised\n"}, "contradicts its spec"),
        ({"labels.txt": b"\xff\xff"}, "damaged"),
        ({"emo_spec.json": b"{}"}, "not an emo-toolkit spec"),
        ({"flatbuffer.sha256": b"0" * 64}, "checksum"),
        ({"golden_pixels.npy": b"no array"}, "damaged"),
        ({"labels.txt": bytes(65 * 1024 * 1024)}, "too large"),
    ],
)
def test_metadata_that_contradicts_itself_is_refused(
    tmp_path: Path, changes: dict[str, bytes], reason: str
) -> None:
    content = appended(PARTS.flatbuffer, entries() | changes)
    with pytest.raises(ModelError, match=reason):
        read_model(written(tmp_path / "m.tflite", content))


@pytest.mark.parametrize("missing", ["labels.txt", "flatbuffer.sha256", "golden_probabilities.npy"])
def test_a_missing_entry_is_refused(tmp_path: Path, missing: str) -> None:
    kept = {name: content for name, content in entries().items() if name != missing}
    with pytest.raises(ModelError, match=missing):
        read_model(written(tmp_path / "m.tflite", appended(PARTS.flatbuffer, kept)))


GOLDEN = PARTS.golden
assert GOLDEN is not None


@pytest.mark.parametrize(
    "golden",
    [
        Golden(GOLDEN.pixels[:, :40], GOLDEN.probabilities),
        Golden(GOLDEN.pixels.astype(np.float32), GOLDEN.probabilities),
        Golden(GOLDEN.pixels[:0], GOLDEN.probabilities[:0]),
        Golden(GOLDEN.pixels, GOLDEN.probabilities[:, :4]),
        Golden(GOLDEN.pixels, GOLDEN.probabilities[:7]),
        Golden(GOLDEN.pixels, GOLDEN.probabilities.astype(np.float64)),
    ],
    ids=["size", "floats", "none", "labels", "number", "doubles"],
)
def test_golden_vectors_that_contradict_the_spec_are_refused(
    tmp_path: Path, golden: Golden
) -> None:
    assert PARTS.spec is not None
    content = pack(PARTS.flatbuffer, PARTS.spec, golden)
    with pytest.raises(ModelError, match=r"golden (in|out)puts contradict"):
        read_model(written(tmp_path / "m.tflite", content))


@given(st.lists(st.text(min_size=1, max_size=6), min_size=2, max_size=5))
def test_labels_that_a_spec_accepts_survive_the_file(scratch: Path, labels: list[str]) -> None:
    try:
        spec = ModelSpec(labels=tuple(labels), height=48, width=48)
    except ModelError:
        return
    packed = pack(PARTS.flatbuffer, spec)
    assert read_model(written(scratch, packed)).spec == spec


@pytest.mark.parametrize(
    "content", ["angry\nhappy\n", "angry\r\nhappy", "\ufeffangry\n\n  happy  \n"]
)
def test_labels_are_read_one_a_line(tmp_path: Path, content: str) -> None:
    path = written(tmp_path / "labels.txt", content.encode())
    assert read_labels(path) == ("angry", "happy")


def test_labels_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.txt", written(tmp_path / "binary.txt", b"\xff\xfe\0")):
        with pytest.raises(DataError, match="cannot read labels"):
            read_labels(path)


def test_a_labels_file_keeps_its_order(tmp_path: Path) -> None:
    assert read_labels(labels_file(tmp_path / "l.txt", ("z", "a", "m"))) == ("z", "a", "m")
