"""`emo-edge doctor`: findings, the line that mends each, and an exit code that scripts can use."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.drawn import FLOAT32, INT8, flipped, of_schema
from edge_runtime.playing import PI_CPU, play, raspberry_pi
from emo_edge.backends import BACKENDS, Backend
from emo_edge.cli import app
from emo_edge.doctor import Finding, board, cameras, examine, software
from emo_edge.doctor.model import too_old
from emo_edge.modelfile import pack, read_model
from running import Outcome, assert_done, call


@pytest.fixture(autouse=True)
def _quiet_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this machine's configuration, service and cameras out of the examination."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("emo_edge.config.OF_THE_MACHINE", tmp_path / "etc" / "edge.toml")
    monkeypatch.setattr("emo_edge.board.service.RUNNING", tmp_path / "no-systemd")
    monkeypatch.setattr("emo_edge.sources.v4l2.DEVICES", tmp_path / "dev")


def doctor(*options: object) -> Outcome:
    return call(app, "doctor", *map(str, options))


def of(subject: str, findings: object) -> Finding:
    (found,) = [finding for finding in findings if finding.subject == subject]  # type: ignore
    return found


# Software and model ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [INT8, FLOAT32], ids=["int8", "float32"])
def test_a_healthy_machine_and_model_have_no_problem(model: Path) -> None:
    result = doctor("--model", model)
    assert_done(result)
    assert "problem" not in result.stdout
    assert f"{model.name} on " in result.stdout
    assert "8 golden vectors right" in result.stdout
    assert "XNNPACK" in result.stdout


def test_without_a_model_the_doctor_checks_the_shipped_one() -> None:
    result = doctor()
    assert_done(result)
    for backend in BACKENDS.values():
        if backend.installed and backend.name != "tensorflow":
            assert f"base-int8.tflite on {backend.version}" in result.stdout
    assert "-> emo-edge tune\n" in result.stdout


def test_every_part_is_examined_and_json_says_the_same() -> None:
    found = [json.loads(line) for line in doctor("--model", INT8, "--json").stdout.splitlines()]
    subjects = [finding["subject"] for finding in found]
    first = "python numpy opencv runtime detector configuration service"
    assert subjects[:7] == first.split()
    rest = "tuning cameras permissions board temperature throttling governor memory disk clock"
    assert [subject for subject in subjects[7:] if subject != "model"] == rest.split()
    assert all(finding.keys() == {"verdict", "subject", "detail", "fix"} for finding in found)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(flipped(INT8.read_bytes(), 30_000), "checksum"), (b"\xff\xd8\xff\xe0 JFIF", "not a .tflite")],
    ids=["damaged", "jpeg"],
)
def test_a_model_with_a_problem_is_exit_code_9(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    result = doctor("--model", path)
    assert result.returncode == 9
    assert reason in result.stdout
    assert "problem(s) found, see above" in result.stderr  # one for each runtime


def test_a_plain_model_runs_but_cannot_be_judged(tmp_path: Path) -> None:
    plain = tmp_path / "plain.tflite"
    plain.write_bytes(read_model(INT8).flatbuffer)
    assert_done(result := doctor("--model", plain))
    assert "nothing to compare with" in result.stdout


def test_a_model_newer_than_the_runtime_is_told_what_it_needs(tmp_path: Path) -> None:
    parts = read_model(INT8)
    assert parts.spec is not None
    spec = dataclasses.replace(parts.spec, minimum_runtime="litert-99.9")
    path = tmp_path / "newer.tflite"
    path.write_bytes(pack(of_schema(9, parts.flatbuffer), spec))
    result = doctor("--model", path)
    assert result.returncode == 9
    assert "the model says that it needs litert-99.9" in result.stdout


@pytest.mark.parametrize(
    ("minimum", "installed", "expected"),
    [
        ("tflite-runtime-2.14", "tflite_runtime 2.14.0", False),
        ("litert-1.2", "tflite_runtime 2.14.0", True),
        ("litert-1.2", "ai_edge_litert 1.2.0", False),
        ("litert-1.4", "ai_edge_litert 1.2.0", True),
        ("litert-1.4", "ai_edge_litert 2.3.0", False),
        ("", "ai_edge_litert 1.2.0", False),
    ],
)
def test_a_recorded_minimum_is_compared_with_what_is_installed(
    minimum: str, installed: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backend, "version", installed)
    assert too_old(minimum, BACKENDS[installed.partition(" ")[0]]) is expected


def test_a_missing_runtime_is_a_problem_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "BACKENDS", {"tflite_runtime": Backend("x", "no_such", "x")})
    remedy = Finding("problem", "runtime", "none", "pip install emo-toolkit")
    assert remedy in list(software.examine())


def test_numpy_2_beside_tflite_runtime_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numpy.__version__", "2.1.0")
    monkeypatch.setattr(Backend, "installed", True)
    found = of("numpy", software.examine())
    assert found.verdict == "problem"
    assert 'pip install "numpy<2"' in found.fix


def test_a_runtime_that_does_not_fit_its_numpy_is_a_problem_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise SystemError("_ARRAY_API not found")

    monkeypatch.setattr("emo_edge.classifier.Interpreter", broken)
    result = doctor("--model", INT8)
    assert result.returncode == 9
    assert "_ARRAY_API not found" in result.stdout
    assert "--force-reinstall" in result.stdout


def test_a_configuration_that_cannot_be_used_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "config" / "emo-toolkit" / "edge.toml"
    path.parent.mkdir(parents=True)
    path.write_text('detectr = "haar"\n')
    assert of("configuration", software.examine()).verdict == "problem"
    path.write_text('detector = "haar"\n')
    assert of("configuration", software.examine()) == Finding(
        "OK", "configuration", f"{path}: 1 option(s)"
    )


@pytest.mark.parametrize(
    ("line", "mode", "verdict"),
    [
        ('serve-token = "0123456789abcdef"', 0o644, "note"),
        ('mqtt = "mqtt://me:secret@broker"', 0o640, "note"),
        ('mqtt = "mqtt://me:secret@broker"', 0o600, "OK"),
        ('mqtt = "mqtt://me@broker"', 0o644, "OK"),
    ],
)
def test_a_secret_that_others_can_read_is_a_note(
    tmp_path: Path, line: str, mode: int, verdict: str
) -> None:
    path = tmp_path / "config" / "emo-toolkit" / "edge.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f"{line}\n")
    path.chmod(mode)
    found = of("configuration", software.examine())
    assert found.verdict == verdict
    assert found.fix == ("" if verdict == "OK" else f"chmod 600 {path}")


# Cameras -----------------------------------------------------------------------------------------


def test_a_camera_that_this_user_may_not_open_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(tmp_path, **{"dev/video0": ""})
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = of("permissions", cameras.examine())
    assert (found.verdict, found.detail) == ("problem", f"may not open {tmp_path}/dev/video0")
    assert "usermod -aG video" in found.fix


# The board ---------------------------------------------------------------------------------------

MUCH = "MemAvailable:    1234567 kB\n"


@pytest.mark.parametrize(
    ("change", "subject", "verdict", "words"),
    [
        ({}, "temperature", "OK", "48 C, throttles at 80 C"),
        ({"celsius": 72.0}, "temperature", "note", "72 C"),
        ({"celsius": 81.0}, "temperature", "problem", "81 C"),
        ({}, "throttling", "OK", "none"),
        ({"word": 0x50000}, "throttling", "note", "under-voltage, throttled (since boot)"),
        ({"word": 0x50005}, "throttling", "problem", "under-voltage, throttled (now)"),
        ({"word": 0x80008}, "throttling", "problem", "soft temperature limit (now)"),
        ({}, "governor", "OK", "ondemand, 600 MHz of 1800 MHz"),
        ({}, "board", "OK", "Raspberry Pi 4 Model B Rev 1.4"),
        ({}, "memory", "OK", "1264 MB free"),
    ],
)
def test_a_board_is_judged_by_its_sensors(
    tmp_path: Path, change: dict[str, float], subject: str, verdict: str, words: str
) -> None:
    root = play(raspberry_pi(tmp_path, **change), **{"proc/meminfo": MUCH})  # type: ignore[arg-type]
    found = of(subject, board.examine(root))
    assert found.verdict == verdict
    assert words in found.detail
    assert bool(found.fix) == (verdict != "OK")


def test_weak_power_is_mended_by_power_and_heat_by_cooling(tmp_path: Path) -> None:
    assert "power supply" in of("throttling", board.examine(raspberry_pi(tmp_path, word=1))).fix
    assert "fan" in of("throttling", board.examine(raspberry_pi(tmp_path, word=4))).fix


def test_a_slow_governor_little_memory_and_no_sensors_are_said(tmp_path: Path) -> None:
    assert of("temperature", board.examine(tmp_path)).verdict == "note"
    play(raspberry_pi(tmp_path), **{f"{PI_CPU}/scaling_governor": "powersave\n"})
    assert of("governor", board.examine(tmp_path)).verdict == "note"
    play(tmp_path, **{"proc/meminfo": "MemAvailable:    90000 kB\n"})
    assert of("memory", board.examine(tmp_path)).verdict == "problem"


@pytest.mark.parametrize(("free", "verdict"), [(5e9, "OK"), (5e8, "note"), (5e7, "problem")])
def test_a_full_disk_is_noticed(free: float, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=int(free)))
    assert of("disk", board.examine()).verdict == verdict


def test_a_cache_that_one_may_not_look_into_is_no_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, really = tmp_path / "cache", os.stat

    def stat(path: Any, *more: Any, **options: Any) -> os.stat_result:
        if isinstance(path, (str, Path)) and Path(path).is_relative_to(cache):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return really(path, *more, **options)

    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(os, "stat", stat)  # root may look everywhere
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = of("disk", board.examine())
    assert (found.verdict, f"{tmp_path} cannot be written" in found.detail) == ("note", True)
    assert "XDG_CACHE_HOME" in found.fix


def test_a_clock_that_lies_in_the_past_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    assert of("clock", board.examine()).verdict == "OK"
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)  # 2001
    found = of("clock", board.examine())
    assert found.verdict == "problem"
    assert "timedatectl" in found.fix


def test_an_examination_of_everything_writes_nothing_but_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    list(examine(str(INT8)))
    assert list(tmp_path.iterdir()) == []
