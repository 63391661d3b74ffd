"""The wheel, installed on each system as docs/device.md says."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from boards import BOARDS
from userland import PROJECT, SUITES

from device.places import PLACES, ROOT, SYSTEMS, Guest
from emo_edge.shipped import DEFAULT
from running import assert_done

RUNTIMES = {
    "bookworm": "tflite_runtime 2.14.0",
    "trixie": "ai_edge_litert 2.3",
    "bookworm-32": "tflite_runtime 2.14.0",
}
LARGEST_PAGE, PT_LOAD = 16384, 1
WORKSTATION = ("tensorflow", "tensorflow_cpu", "keras", "jax", "torch", "matplotlib", "pandas")


@pytest.mark.short
@pytest.mark.parametrize("system", SUITES)
def test_what_is_installed_here_is_what_the_page_says(system: str) -> None:
    lines = (ROOT / "docs/device.md").read_text(encoding="utf-8").splitlines()
    said = {line.strip().replace('"', "") for line in lines}
    suite = SUITES[system]
    assert f"sudo apt install {' '.join(suite.packages)}" in said
    assert any(
        line.startswith(" ".join(("python3 -m venv", *suite.venv, "~/emo"))) for line in said
    )
    for step in suite.pip:
        assert f"pip install {' '.join(step)}" in said


@pytest.mark.parametrize("system", SYSTEMS)
def test_nothing_of_the_workstation_is_installed(guest: Guest, system: str) -> None:
    userland = guest(system)
    folders = [
        userland.site,
        userland.beside,
        *userland.root.glob("usr/lib/python3*/dist-packages"),
    ]
    installed = {path.name for folder in folders for path in folder.glob("*")}
    assert PROJECT.replace("-", "_") in {name.split("-")[0] for name in installed}
    assert not installed & set(WORKSTATION)


@pytest.mark.parametrize("system", SYSTEMS)
def test_pip_finds_every_requirement_met(guest: Guest, system: str) -> None:
    userland = guest(system)
    if userland.suite.venv:
        pytest.skip("Debian's numpy is older than the wheel asks for: installed with --no-deps")
    board = userland.suite.boards[0]
    done = userland.run(board, "python", "-m", "pip", "check", PYTHONPATH=str(userland.pip))
    assert (done.returncode, done.stdout) == (0, "No broken requirements found.\n")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_wheels_load_on_a_kernel_with_large_pages(guest: Guest, system: str) -> None:
    """As a Raspberry Pi 5's; the pages of 32-bit systems are small everywhere."""
    userland = guest(system)
    if userland.suite.architecture == "armhf":
        pytest.skip("32-bit systems have small pages")
    libraries = [path for path in userland.site.rglob("*.so*") if path.is_file()]
    assert len(libraries) > 10
    small = [path.name for path in libraries if min(alignments(path)) < LARGEST_PAGE]
    assert not small


def alignments(library: Path) -> list[int]:
    """Return the alignment of every loaded segment of a 64-bit ELF file, by the ELF format."""
    content = library.read_bytes()
    assert content.startswith(b"\x7fELF\x02\x01"), library
    (table,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    entries = [content[table + n * size :][:size] for n in range(count)]
    return [
        struct.unpack_from("<Q", entry, 48)[0]
        for entry in entries
        if struct.unpack_from("<I", entry)[0] == PT_LOAD
    ]


@pytest.mark.parametrize(("system", "board"), PLACES)
def test_the_doctor_finds_no_problem(guest: Guest, system: str, board: str) -> None:
    userland = guest(system)
    done = userland.run(board, "emo-edge", "doctor", "--json")
    assert_done(done)
    findings = {found["subject"]: found for found in map(json.loads, done.stdout.splitlines())}
    wanting = {name for name, found in findings.items() if found["verdict"] != "OK"}
    assert wanting <= {"detector", "tuning", "cameras", "permissions"}  # for the user to do
    assert findings["board"]["detail"] == BOARDS[board].model
    assert findings["temperature"]["detail"].startswith("48 C")
    if userland.suite.architecture == "arm64":  # 32-bit QEMU asks the host whether a file exists
        assert f"of {BOARDS[board].megahertz} MHz" in findings["governor"]["detail"]
    assert f"{DEFAULT}-int8.tflite on {RUNTIMES[system]}" in findings["model"]["detail"]
    assert "golden vectors right" in findings["model"]["detail"]
