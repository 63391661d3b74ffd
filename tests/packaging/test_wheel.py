"""The device install: the wheel without extras, in an environment of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conftest import Once
from emo_edge.version import __version__
from running import ASSETS, Outcome, assert_refused, draw_faces

ROOT = Path(__file__).parents[2]
COMMANDS = ("emo-train", "emo-convert", "emo-edge", "emo-bench")


def python(*words: str | Path, interpreter: Path | str = sys.executable) -> Outcome:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    command = [str(interpreter), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def build_wheel(folder: Path) -> Path:
    options = ["--no-isolation"] if importlib.util.find_spec("hatchling") else ["--installer=pip"]
    done = python("-m", "build", "--wheel", *options, "--outdir", folder, ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def index_answers(folder: Path) -> bool:
    options = ("--quiet", "--no-deps", "--dest", folder)
    return python("-m", "pip", "download", *options, "typer>=0.26,<0.29").returncode == 0


@pytest.fixture(scope="module")
def device(once: Once) -> Path:
    """Return an environment that holds the wheel and its base dependencies, nothing else."""

    def install(folder: Path) -> None:
        folder.mkdir()
        if not index_answers(folder / "downloads"):
            pytest.skip("no package index answers: the device install cannot be tried")
        wheel = build_wheel(folder / "dist")
        assert python("-m", "venv", folder / "venv").returncode == 0
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        done = python(*pip, wheel, interpreter=folder / "venv" / "bin" / "python")
        assert done.returncode == 0, done.stderr

    return once("device", install) / "venv"


def run_on(device: Path, name: str, *arguments: str | Path) -> Outcome:
    return python(device / "bin" / name, *arguments, interpreter=device / "bin" / "python")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_needs_no_extra_and_shows_examples_and_exit_codes(device: Path, command: str) -> None:
    done = run_on(device, command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"{command} " in done.stdout.split("Examples:")[1]
    assert "Exit codes: 0 done, 2 usage" in " ".join(done.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_version_is_that_of_the_toolkit(device: Path, command: str) -> None:
    assert run_on(device, command, "--version").stdout == f"emo-toolkit {__version__}\n"


def test_the_device_classifies_a_picture(device: Path, tmp_path: Path) -> None:
    (picture,) = draw_faces(tmp_path, 1)
    model = ASSETS / "drawn-int8.tflite"
    options = ("--model", model, "--source", picture, "--detector", "none", "--jsonl", "-")
    done = run_on(device, "emo-edge", *options)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    probabilities = json.loads(line)["probabilities"]
    assert list(probabilities) == ["angry", "happy", "neutral", "sad", "surprised"]
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    "words",
    [
        ("emo-train", "--data", "x", "--out", "y"),
        ("emo-convert", "x"),
        ("emo-bench", "demo"),
    ],
    ids=" ".join,
)
def test_a_command_without_its_extra_says_what_to_install(
    device: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_on(device, *words)
    assert_refused(done, 2, 'pip install "emo-toolkit[workstation]"')
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_an_output_without_its_extra_says_what_to_install(device: Path, tmp_path: Path) -> None:
    (picture,) = draw_faces(tmp_path, 1)
    options = ("--source", picture, "--detector", "none", "--mqtt", "mqtt://localhost")
    assert_refused(run_on(device, "emo-edge", *options), 2, 'pip install "emo-toolkit[mqtt]"')


def test_the_wheel_holds_the_four_packages_and_nothing_else(device: Path) -> None:
    (wheel,) = (device.parent / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    packages = {"emo_edge", "emo_train", "emo_convert", "emo_bench"}
    assert tops - {f"emo_toolkit-{__version__}.dist-info"} == packages


@pytest.mark.parametrize("module", ["train", "convert", "benchmarks", "tests", "edge_runtime"])
def test_no_common_name_is_taken_in_site_packages(device: Path, module: str) -> None:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is not None)"
    done = python("-I", "-c", code, interpreter=device / "bin" / "python")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["tensorflow", "keras", "matplotlib"])
def test_the_device_install_brings_nothing_of_the_workstation(device: Path, module: str) -> None:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is not None)"
    assert python("-I", "-c", code, interpreter=device / "bin" / "python").returncode == 0
