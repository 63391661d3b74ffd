"""Configuration files, through the command line."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer.main

from edge_runtime.drawn import INT8
from emo_edge.cli import app
from emo_edge.config import options_of, template
from emo_edge.errors import UsageError
from fuzz.damage import damaged
from fuzz.door import Contained, Door
from running import call

WRITTEN = re.sub(
    r"^#([a-z-]+ = )", r"\1", template(options_of(typer.main.get_command(app)), "0"), flags=re.M
)  # type: ignore[arg-type]
VALUES = (
    *("true", "false", "0", "-1", "1", "64", "1e400", "nan", "-inf", "9" * 400, "0x10", "1_0"),
    *(
        '""',
        '"-"',
        '" "',
        '"x"',
        '"0"',
        '"yunet"',
        '"haar"',
        '"none"',
        '"auto"',
        '"small"',
        '"\\u0000"',
    ),
    *(
        "[]",
        "[1]",
        "[0, 255]",
        "[255, 0]",
        '["a", "b"]',
        "[[1], [2]]",
        "{}",
        "{ a = 1 }",
        '"""x\n"""',
    ),
    *(
        '"/"',
        '"/dev/null"',
        '"/dev/zero"',
        '"/dev/full"',
        '"/proc/self/mem"',
        '"/etc/passwd"',
        '"~"',
    ),
    *(
        '"8080"',
        '"0.0.0.0:1"',
        '"[::1]:99999"',
        '"::"',
        '"mqtt://[::"',
        '"mqtts://u:p@h:1/t/#"',
        "1979-05-27",
    ),
    *(
        f'"{INT8}"',
        '"' + "x" * 5000 + '"',
        '"\\ud800"',
        '"é"',
        "'\\'",
        '"1x1"',
        '"640x480"',
        '"-1x9e9"',
    ),
)
CODES = frozenset(range(2, 9))


def draw(dice: random.Random) -> bytes:
    lines = WRITTEN.splitlines()
    places = [at for at, line in enumerate(lines) if re.match("[a-z]", line)]
    for _ in range(dice.randint(1, 3)):
        at = dice.choice(places)
        key = lines[at].partition(" ")[0]
        lines[at] = f"{key} = {dice.choice(VALUES)}"
    text = "\n".join(lines).encode()
    how = dice.random()
    if how < 0.35:
        return damaged(dice, text)
    if how < 0.4:
        depth = dice.choice((10, 1000, 100_000))
        return text + b"\nx = " + b"[" * depth + b"]" * depth
    return text


def open_door(folder: Path, contained: Contained) -> Callable[[bytes], None]:
    path = folder / "edge.toml"
    missing = folder / "no-such-video"
    really = socket.getaddrinfo

    def offline(host: Any, port: Any, *args: Any, **named: Any) -> Any:
        named["flags"] = named.get("flags", 0) | socket.AI_NUMERICHOST
        return really(host, port, *args, **named)

    socket.getaddrinfo = offline  # a fuzzer asks no name server

    def enter(content: bytes) -> None:
        path.write_bytes(content)
        # A source that is not there: no output is opened.
        done = call(app, "--config", path, "--source", missing)
        assert done.returncode in CODES, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.lower().count("error: ") >= 1, done.stderr
        if done.returncode != 5:  # that it is not there is the last thing that can be wrong
            raise UsageError("refused")

    return enter


DOOR = Door("configurations", draw, open_door, share=0.005)
