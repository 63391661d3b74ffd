"""Model files whose flatbuffer is whole and whose zip is not."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_runtime.drawn import INT8
from emo_edge.backends import BACKENDS
from emo_edge.classifier import Classifier
from emo_edge.modelfile import read_model
from fuzz.damage import NUMBERS, damaged, number_into
from fuzz.door import Contained, Door

WHOLE = INT8.read_bytes()
FLATBUFFER = read_model(INT8).flatbuffer
with zipfile.ZipFile(INT8) as _archive:
    ENTRIES = {name: _archive.read(name) for name in _archive.namelist()}
SPEC = json.loads(ENTRIES["emo_spec.json"])
VALUES: tuple[Any, ...] = (
    *(None, True, False, "", " ", "\0", "a\nb", "x" * 5000, "\ud800", "é", "NaN", [], {}, [[]]),
    *(-1, 0, 0.5, 1, 2, 7, 48, 1025, -0.0, 1e308, 1e999, 10**30, float("nan"), [0, 255], ["a"] * 5),
)


def draw(dice: random.Random) -> bytes:
    way = dice.random()
    if way < 0.25:  # the raw zip
        return FLATBUFFER + damaged(dice, WHOLE[len(FLATBUFFER) :])
    if way < 0.5:  # its directory: sizes, offsets, methods, names
        data = bytearray(WHOLE)
        for _ in range(dice.randint(1, 3)):
            at = dice.choice(_records(WHOLE)) + dice.randrange(46)
            number_into(dice, data, min(at, len(data) - 1))
        return bytes(data)
    entries = dict(ENTRIES)
    name = dice.choice((*entries, "emo_spec.json", "emo_spec.json"))
    if name == "emo_spec.json" and dice.random() < 0.8:
        entries[name] = json.dumps(changed(dice, SPEC)).encode("utf-8", "surrogatepass")
    elif name.endswith(".npy") and dice.random() < 0.5:
        entries[name] = damaged(dice, entries[name][:128]) + entries[name][128:]
    else:
        entries[name] = damaged(dice, entries[name], list(ENTRIES.values()))
    if dice.random() < 0.1:
        del entries[dice.choice(list(entries))]
    return _packed(dice, entries)


def _records(content: bytes) -> list[int]:
    """Return where the records of a zip begin."""
    return [
        at
        for mark in (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")
        for at in range(len(FLATBUFFER), len(content))
        if content.startswith(mark, at)
    ]


def changed(dice: random.Random, value: Any) -> Any:
    """Return a JSON value with one of its parts exchanged."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(list(value))
        if dice.random() < 0.1:
            return {("x" if name == key else name): part for name, part in value.items()}
        return {**value, key: changed(dice, value[key])}
    if isinstance(value, list) and value and dice.random() < 0.7:
        at = dice.randrange(len(value))
        return [*value[:at], changed(dice, value[at]), *value[at + dice.choice((0, 1)) :]]
    return dice.choice((*VALUES, *NUMBERS, dice.uniform(-2, 2)))


def _packed(dice: random.Random, entries: dict[str, bytes]) -> bytes:
    """Zip entries behind the flatbuffer."""
    buffer = io.BytesIO(FLATBUFFER)
    method = dice.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(buffer, "a", method) as archive:
        for name, content in entries.items():
            archive.writestr(_dated(name), content, method)
            if dice.random() < 0.02:
                archive.writestr(_dated(name + dice.choice((" ", "/", "\0x"))), content, method)
    content = buffer.getvalue()
    comment = dice.randbytes(4) if dice.random() < 0.05 else b""
    return content[:-2] + struct.pack("<H", len(comment)) + comment


def _dated(name: str) -> zipfile.ZipInfo:
    """Return an entry of a fixed date: an input must not depend on the day."""
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def open_door(folder: Path, contained: Contained) -> Callable[[bytes], None]:
    path = folder / "m.tflite"
    quick = BACKENDS["ai_edge_litert"]  # golden vectors take a tenth of the time
    backend = quick.name if quick.installed else "auto"

    def enter(content: bytes) -> None:
        path.write_bytes(content)
        # A flatbuffer of other bytes is the door of models.
        if read_model(path).flatbuffer == FLATBUFFER:
            Classifier(path, backend=backend, contained=True)

    return enter


DOOR = Door("metadata", draw, open_door, share=0.1)
