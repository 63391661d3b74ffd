"""Crafted pictures and models, through the front door: a refusal in one line, never a crash."""

from __future__ import annotations

import io
import json
import math
import random
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime.drawn import INT8, save, scene
from emo_edge.backends import find_backend
from emo_edge.cli import app
from emo_edge.contract import decode_image
from emo_edge.errors import DataError
from emo_edge.modelfile import read_model
from running import Outcome, assert_done, assert_refused, call, run

PARTS = read_model(INT8)
SIDE = 50_000


def classify(model: Path, picture: Path) -> Outcome:
    words = ("--model", model, "--source", picture, "--detector", "none", "--jsonl", "-")
    return call(app, *words)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("picture") / "face.png", scene("happy")[0])


# Pictures ----------------------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    """A PNG whose few bytes unfold to as many pixels as its header says."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def encoded(suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, np.full((40, 30, 3), 90, np.uint8))[1])


def swollen(suffix: str) -> bytes:
    """A small picture whose header promises `SIDE` x `SIDE` pixels."""
    content = bytearray(encoded(suffix))
    if suffix == ".jpg":
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = struct.pack(">HH", SIDE, SIDE)
    elif suffix == ".bmp":
        content[18:26] = struct.pack("<ii", SIDE, SIDE)
    elif suffix == ".ppm":
        content = bytearray(content.replace(b"30 40", b"%d %d" % (SIDE, SIDE)))
    return bytes(content)


BOMBS = {
    "png": png(SIDE, SIDE),
    "jpg": swollen(".jpg"),
    "bmp": swollen(".bmp"),
    "ppm": swollen(".ppm"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_picture_that_promises_too_many_pixels_is_refused_by_its_header(
    tmp_path: Path, kind: str
) -> None:
    bomb = written(tmp_path / f"bomb.{kind}", BOMBS[kind])
    assert_refused(classify(INT8, bomb), 5, str(bomb))


def test_a_bomb_is_named_for_what_it_is() -> None:
    with pytest.raises(DataError, match="bomb has too many pixels"):
        decode_image(BOMBS["png"], "bomb")


def test_a_file_too_long_to_be_a_picture_is_not_read_whole(tmp_path: Path) -> None:
    long = tmp_path / "long.png"
    with long.open("wb") as file:
        file.write(png(8, 8))
        file.truncate(1 << 33)  # sparse: eight gigabytes of nothing
    assert_refused(classify(INT8, long), 5, "larger than 128 MiB")


MUTATE = """
import random, sys
from emo_edge.contract import decode_image
from emo_edge.errors import DataError
original, dice, read = open(sys.argv[1], 'rb').read(), random.Random(7), 0
for _ in range(int(sys.argv[2])):
    content = bytearray(original)
    for _ in range(dice.choice((1, 2, 8))):
        place = dice.choice((dice.randrange(64), dice.randrange(len(content))))
        content[place % len(content)] = dice.choice((0, 1, 127, 128, 255, dice.randrange(256)))
    cut = dice.choice((None, dice.randrange(len(content))))
    try:
        read += decode_image(bytes(content[:cut])).ndim == 3
    except DataError:
        pass
print('survived', read)
"""


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm"])
def test_damaged_pictures_are_read_or_refused(tmp_path: Path, suffix: str) -> None:
    whole = written(tmp_path / f"whole{suffix}", encoded(suffix))
    command = [sys.executable, "-c", MUTATE, str(whole), "150"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("survived")


# Models ------------------------------------------------------------------------------------------


def packed(flatbuffer: bytes, changes: dict[str, bytes]) -> bytes:
    """A model made by hand whose checksum is right, with other entries."""
    from emo_edge.artifacts import sha256

    with zipfile.ZipFile(INT8) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries |= {"flatbuffer.sha256": sha256(flatbuffer).encode()} | changes
    buffer = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def spec_with(**values: Any) -> dict[str, bytes]:
    assert PARTS.spec is not None
    changed = PARTS.spec.to_json() | values
    labels = "".join(f"{label}\n" for label in changed["labels"] if isinstance(label, str))
    return {
        "emo_spec.json": json.dumps(changed).encode(),
        "labels.txt": labels.encode(errors="surrogatepass"),
    }


def npy(shape: tuple[int, ...], kind: str = "|u1") -> bytes:
    """An array file whose header promises more than it holds."""
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(64)


FOUR = ["angry", "happy", "neutral", "sad"]
CRAFTED = {
    "not a number": spec_with(temperature=math.nan),
    "infinite": spec_with(threshold=math.inf),
    "negative size": spec_with(height=-48),
    "huge size": spec_with(width=10**18),
    "number of 5,000 digits": {"emo_spec.json": b'{"format": 1, "height": ' + b"9" * 5000 + b"}"},
    "deep": {"emo_spec.json": b'{"format": 1, "training": ' + b"[" * 100_000},
    "wide range": spec_with(input_range=[-1e300, 1e300]),
    "escape sequence": spec_with(labels=[*FOUR, "\x1b[2J"]),
    "bidirectional override": spec_with(labels=[*FOUR, "a\u202eb"]),
    "lone surrogate": spec_with(labels=[*FOUR, "\ud800"]),
    "endless label": spec_with(labels=[*FOUR, "x" * 101]),
    "true for a number": spec_with(height=True),
    "text bomb": {"emo_spec.json": b'{"format": 1, "x": "' + b" " * (2 << 20) + b'"}'},
    "array bomb": {"golden_pixels.npy": bytes(65 << 20)},
    "array that promises terabytes": {"golden_pixels.npy": npy((1 << 40, 48, 48, 1))},
    "array of negative size": {"golden_pixels.npy": npy((-8, 48, 48, 1))},
    "array of objects": {"golden_pixels.npy": npy((8, 48, 48, 1), "|O")},
    "array code": {"golden_pixels.npy": npy((8,), "'+__import__('os').abort()+'")},
}


@pytest.mark.parametrize("case", CRAFTED)
def test_crafted_metadata_is_refused(tmp_path: Path, picture: Path, case: str) -> None:
    model = written(tmp_path / "crafted.tflite", packed(PARTS.flatbuffer, CRAFTED[case]))
    assert_refused(classify(model, picture), 4, "crafted.tflite")


def test_names_in_the_archive_reach_no_file(
    tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    content = packed(PARTS.flatbuffer, {"../escaped": b"!", "/tmp/escaped-emo": b"!"})
    model = written(tmp_path / "here" / "m.tflite", content)
    assert classify(model, picture).returncode == 0
    assert {path.name for path in tmp_path.rglob("*")} == {"here", "m.tflite"}
    assert not Path("/tmp/escaped-emo").exists()


# An offset beyond the end kills tflite-runtime.
WILD = b"\xf0\xff\xff\xff" + PARTS.flatbuffer[4:]


def test_a_flatbuffer_that_kills_the_runtime_is_refused_though_its_checksum_is_right(
    tmp_path: Path, picture: Path
) -> None:
    model = written(tmp_path / "wild.tflite", packed(WILD, {}))
    assert_refused(classify(model, picture), 4, "wild.tflite is damaged", "beyond the file")


@pytest.mark.usefixtures("unverified")
def test_a_model_that_kills_the_runtime_all_the_same_dies_in_a_child(
    tmp_path: Path, picture: Path
) -> None:
    model = written(tmp_path / "wild.tflite", packed(WILD, {}))
    done = classify(model, picture)
    # tflite-runtime dies of it, LiteRT looks first.
    assert_refused(done, 4)
    assert "wild.tflite crashes" in done.stderr or "ai_edge_litert" in done.stderr


HOSTILE = {
    "truncated": INT8.read_bytes()[:20_000],
    "cut before its zip": PARTS.flatbuffer[:-500],
    "wild": packed(WILD, {}),
    "empty": b"",
}


@pytest.mark.parametrize(
    ("option", "code"), [("model", 4), ("labels", 2), ("mqtt-password-file", 2), ("config", 2)]
)
def test_a_device_without_an_end_is_not_read_to_its_end(
    picture: Path, option: str, code: int
) -> None:
    words = ["--source", picture, f"--{option}", "/dev/zero"]
    words += ["--mqtt", "mqtt://me@127.0.0.1/x"] if "mqtt" in option else []
    assert_refused(call(app, *words), code)


def test_a_name_with_a_nul_is_refused(tmp_path: Path, picture: Path) -> None:
    for option in ("model", "labels"):
        config = written(tmp_path / "edge.toml", f'{option} = "\\u0000"'.encode())
        assert_refused(call(app, "--config", config, "--source", picture), 2)


@pytest.mark.parametrize("option", ["picture", "folder", "stream", "snapshot"])
def test_a_name_that_would_crash_opencv_is_refused(
    tmp_path: Path, picture: Path, option: str
) -> None:
    odd = tmp_path / "caf\udce9"  # Latin-1, as an old archive leaves it
    odd.mkdir()
    shutil.copy(picture, odd / "face.png")
    words = {
        "picture": ("--source", odd / "face.png"),
        "folder": ("--source", odd),
        "stream": ("--source", f"rtsp://127.0.0.1:1/{odd.name}"),
        "snapshot": ("--source", picture, "--snapshot", odd / "seen.png"),
    }[option]
    done = run("emo-edge", "--model", INT8, *words)
    if option == "folder":  # its pictures are decoded by ourselves
        assert_done(done)
    else:
        assert_refused(done, 2, "caf\\udce9", "is not UTF-8: rename it")


@pytest.mark.parametrize("case", HOSTILE)
def test_doctor_names_a_hostile_model_as_a_problem(tmp_path: Path, case: str) -> None:
    model = written(tmp_path / "hostile.tflite", HOSTILE[case])
    done = call(app, "doctor", "--model", model)
    assert_refused(done, 9, "problem(s) found")
    named = [line for line in done.stdout.splitlines() if str(model) in line]
    assert any(line.startswith("problem  model") for line in named), done.stdout


def test_mutated_flatbuffers_with_a_right_checksum_run_or_are_refused(
    tmp_path: Path, picture: Path
) -> None:
    dice = random.Random(11)
    for number in range(4):
        content = bytearray(PARTS.flatbuffer)
        for _ in range(6):  # the graph lies at the end, the weights before it
            content[-dice.randrange(1, 6000)] = dice.randrange(256)
        model = written(tmp_path / f"{number}.tflite", packed(bytes(content), {}))
        assert classify(model, picture).returncode in (0, 4)


def test_what_was_survived_once_is_not_tried_again(
    tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emo_edge import probe

    model = written(tmp_path / "m.tflite", packed(PARTS.flatbuffer, {"note": b"unlike others"}))
    tried: list[Path] = []
    really = probe._probe
    monkeypatch.setattr(probe, "_probe", lambda m, b: (tried.append(m), really(m, b))[1])
    assert classify(model, picture).returncode == 0
    assert classify(model, picture).returncode == 0
    assert tried == [model]
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")  # nothing can be kept there
    assert classify(model, picture).returncode == 0
    assert tried == [model, model]


def test_only_a_child_that_ended_well_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emo_edge import probe

    parts = {"note": b"a child that fails"}
    model, backend = written(tmp_path / "m.tflite", packed(PARTS.flatbuffer, parts)), find_backend()
    mark = probe._survived(model, backend)
    assert mark is not None
    with monkeypatch.context() as patch:
        failed = subprocess.CompletedProcess([], 1, "", "no memory")
        patch.setattr(probe, "_probe", lambda *_: failed)
        probe.refuse_crasher(model, backend)
    assert not mark.exists()
    probe.refuse_crasher(model, backend)
    assert mark.exists()


def test_a_model_that_never_answers_is_given_up(
    tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emo_edge import probe

    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.01)
    model = written(tmp_path / "slow.tflite", packed(PARTS.flatbuffer, {"note": b"slow"}))
    assert_refused(classify(model, picture), 4, "gives no answer")
