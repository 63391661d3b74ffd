"""The wheel, installed as docs/device.md says, on each system."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from userland import Userland

from running import assert_done, draw_faces

SYSTEMS = [pytest.param("bookworm", marks=pytest.mark.short), "trixie"]


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest, guest: Callable[[str], Userland]) -> Userland:
    return guest(request.param)


def test_the_shipped_model_classifies_a_picture(system: Userland, tmp_path: Path) -> None:
    (picture,) = draw_faces(tmp_path, 1)
    options = ("--source", picture, "--detector", "none", "--jsonl", "-")
    done = system.run("pi4", "emo-edge", *options)
    assert_done(done)
    (line,) = done.stdout.splitlines()
    assert sum(json.loads(line)["probabilities"].values()) == pytest.approx(1, abs=1e-3)
