"""What the command lines share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from running import command_line


@pytest.mark.parametrize(
    "words",
    [("emo-edge",), ("emo-train",), ("emo-bench",), ("emo-convert",), ("emo-convert", "inspect")],
    ids=" ".join,
)
def test_help_without_room_for_it_is_an_error_in_one_line(words: tuple[str, ...]) -> None:
    command = [*command_line(words[0], *words[1:]), "--help"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (8, 1)
    assert done.stderr == "error: cannot write the output: No space left on device\n"
