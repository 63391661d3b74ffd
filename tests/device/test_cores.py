"""What a Raspberry Pi's core executes: no instruction that it lacks, and not more than before."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from count import BOARDS_COUNTED, SUITES_COUNTED, Lab, count_all, draw_frames
from userland import counter

from device.places import ROOT, Guest
from emo_bench.results import write
from emo_edge.artifacts import sha256
from emo_edge.detectors.fetch import fetch_yunet
from emo_edge.shipped import find_model, shipped_models
from running import Outcome, assert_done, run

YUNET = Path(os.environ.get("EMO_YUNET", ""))
REFERENCE = ROOT / "benchmarks/results/instructions.json"
# Runs SDOT, the dot product of Armv8.2, which int8 kernels use where they believe to have it.
DOT_PRODUCT = """
import ctypes, mmap, resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("0094824e" "c0035fd6"))  # sdot v0.4s, v0.16b, v2.16b; ret
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""


@pytest.mark.short
@pytest.mark.parametrize(
    ("board", "code"), [("pi3", -signal.SIGILL), ("pi4", -signal.SIGILL), ("pi5", 0)]
)
def test_a_core_refuses_an_instruction_that_it_lacks(guest: Guest, board: str, code: int) -> None:
    """Else the other tests would prove nothing about the cores that they name."""
    assert guest("bookworm").run(board, "python", "-c", DOT_PRODUCT).returncode == code


def gate(guest: Guest, work: Path, monkeypatch: pytest.MonkeyPatch, system: str) -> Outcome:
    """Count, and compare with the reference as one does by hand."""
    detectors = ("haar",)
    if YUNET.is_file():
        monkeypatch.setenv("XDG_CACHE_HOME", str(work / "cache"))
        fetch_yunet(str(YUNET))
        detectors += ("yunet",)
    frames = work / "frames"
    frames.mkdir()
    draw_frames(frames)
    lab = Lab(guest(system), counter(work), work, frames, detectors)
    counted = count_all(list(shipped_models().values()), {system: lab}, BOARDS_COUNTED)
    write(work / "counted.json", counted)
    return run("emo-bench", "compare", REFERENCE, work / "counted.json", "--max-slowdown", "5%")


@pytest.mark.parametrize("system", SUITES_COUNTED)
def test_nothing_costs_more_instructions_than_before(
    guest: Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    assert_done(gate(guest, tmp_path, monkeypatch, system))


@pytest.mark.parametrize("model", shipped_models())
def test_the_reference_is_of_the_shipped_models(model: str) -> None:
    """A model that was replaced is counted again: docs/instructions.md has the line."""
    content = json.loads(REFERENCE.read_bytes())
    known = {result["sha256"] for result in content["results"]}
    assert sha256(find_model(model).read_bytes()) in known
