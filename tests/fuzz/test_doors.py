"""A short, seeded part of `make fuzz`, and what it found once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz import doors
from fuzz.doors import detectors
from fuzz.driver import input_of

INPUTS = 500
# What comes out of it is a picture or none, never a refusal.
NEVER_REFUSES = {"mjpeg"}
NEVER_TAKES = set() if detectors.YUNET.is_file() else {"detectors"}


def test_whatever_comes_in_is_read_or_refused_in_words(tmp_path: Path) -> None:
    # A process of its own: one with threads must not be forked.
    words = [sys.executable, "-m", "fuzz", "--runs", str(INPUTS), "--keep", str(tmp_path / "found")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "XDG_CACHE_HOME": str(tmp_path),
    }
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.glob("found/*")) == []
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == list(doors.DOORS)
    for name, count, taken, refused, contained, _, _ in rows:
        assert int(taken) + int(refused) + int(contained) == int(count)
        # Damage that is always seen at once, or never, tests nothing.
        assert int(taken) > 0 or name in NEVER_TAKES, name
        assert int(refused) > 0 or name in NEVER_REFUSES, name


@pytest.mark.parametrize("name", doors.DOORS)
def test_an_input_follows_from_its_seed_and_number(name: str) -> None:
    door = doors.DOORS[name]
    drawn = [input_of(door, 1, number) for number in range(8)]
    assert drawn == [input_of(door, 1, number) for number in range(8)]
    assert len(set(drawn)) > 4
    assert drawn != [input_of(door, 2, number) for number in range(8)]
