"""The device lab's script, without the lab: that needs QEMU, Debian's mirror and PyPI."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "device_lab"


def test_a_host_without_the_tools_is_told_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / "count.py", "--work", tmp_path / "lab"],
        env={"PATH": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "error: this host lacks tools; on Debian run: sudo apt-get install qemu-user" in (
        done.stderr
    )
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "lab").exists()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc (apt install gcc libc6-dev)")
def test_the_plugin_compiles_without_a_warning(tmp_path: Path) -> None:
    words = ("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o")
    command = [*words, tmp_path / "counter.so", FOLDER / "counter.c"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_wheel_s_own_requirements_are_what_a_userland_is_kept_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    from installing import _requirements  # type: ignore[import-not-found]

    wheel = tmp_path / "a.whl"
    with ZipFile(wheel, "w") as archive:
        archive.writestr(
            "a.dist-info/METADATA",
            "Name: a\n"
            "Requires-Dist: tflite-runtime==2.14.0; python_version < '3.12'\n"
            "Requires-Dist: keras; extra == 'workstation'\n"
            "Requires-Dist: typer<0.29\n",
        )
    assert _requirements(wheel) == [
        "tflite-runtime==2.14.0; python_version < '3.12'",
        "typer<0.29",
    ]
