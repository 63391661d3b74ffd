"""Install this project in an Arm Debian userland, without root.

As docs/device.md says: the userland's own Python makes a virtual environment, and its pip takes the
wheel and what the wheel asks for there.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

from debian import run, unpack
from userland import PROJECT, SUITES, Userland, require_tools

from emo_edge.artifacts import sha256
from emo_edge.messages import say

REPOSITORY = Path(__file__).parents[2]
BASE = ("python3", "libstdc++6")  # what every system has that people install on
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")


def build(work: Path, name: str) -> Userland:
    """Make or complete the userland of suite `name` below `work`.

    What was built before is kept for as long as it is made of the same things; the project itself
    is always that of the working tree. A second process that wants the folder waits for this one.
    """
    require_tools()
    suite = SUITES[name]
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    _hold(folder)
    places = (folder / part for part in ("root", "emo", "beside", "pip"))
    userland = Userland(suite, *places)
    wheel = _wheel()
    packages = (*BASE, *suite.packages)
    debian = " ".join((suite.release, suite.architecture, *packages))
    if _outdated(userland.root, debian):
        say(f"fetching Debian {suite.release} for {suite.architecture} (once)")
        unpack(folder / "apt", userland.root, suite.release, suite.architecture, packages)
        _finished(userland.root, debian)
    mark, installed = userland.environment / "wheel.sha256", sha256(wheel.read_bytes())
    needed = "\n".join([debian, repr(suite), *_requirements(wheel)])
    if _outdated(userland.environment, needed):
        say(f"installing for Python {suite.python} on {suite.architecture} (once)")
        _make_environment(userland, wheel)
        _finished(userland.environment, needed)
    elif mark.read_text(encoding="utf-8") != installed:
        _pip(userland, "--no-deps", "--force-reinstall", wheel)
    mark.write_text(installed, encoding="utf-8")
    return userland


def _make_environment(userland: Userland, wheel: Path) -> None:
    suite, environment = userland.suite, userland.environment
    script = userland.root / "usr/bin/emulated-python"
    words = [suite.emulator, "-L", userland.root]
    started = f'exec {shlex.join(map(str, words))} -0 "$0" {shlex.quote(str(userland.program))}'
    script.write_text(f'#!/bin/sh\n{started} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    shutil.rmtree(environment, ignore_errors=True)
    # With pip as Debian ships it, but outside: ensurepip asks QEMU for what it does not emulate.
    _guest(userland, script, "-m", "venv", "--without-pip", *suite.venv, environment)
    (wheels,) = userland.root.glob("usr/share/python-wheels/pip-*.whl")
    with ZipFile(wheels) as archive:
        archive.extractall(userland.pip)
    with _recognised(userland):
        for step in suite.pip:
            _pip(userland, *(wheel if word == PROJECT else word for word in step))
    shutil.rmtree(userland.beside, ignore_errors=True)
    if suite.beside:
        _pip(userland, "--no-deps", "--target", userland.beside, *suite.beside)


@contextmanager
def _recognised(userland: Userland) -> Iterator[None]:
    """Let pip see the Arm program under the environment's name of it.

    pip reads the interpreter's ELF header to tell which 32-bit wheels it can load. What lies below
    QEMU's sysroot is what programs read; what the kernel starts remains the script.
    """
    shown = userland.root / str(userland.environment / "bin/python").lstrip("/")
    shown.parent.mkdir(parents=True, exist_ok=True)
    shown.unlink(missing_ok=True)
    shown.symlink_to(userland.program)
    try:
        yield
    finally:
        shown.unlink()
        with suppress(OSError):  # the first folder that the userland has itself is not empty
            for folder in shown.parents:
                folder.rmdir()


def _pip(userland: Userland, *words: object) -> None:
    python = userland.environment / "bin/python"
    _guest(userland, python, *PIP, *words, PYTHONPATH=str(userland.pip))


def _guest(userland: Userland, *words: object, **variables: str) -> None:
    """Run Python as a board, with this user's settings for pip and the network."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    cpu = userland.login(userland.suite.boards[0])["QEMU_CPU"]
    run(words, environment={**own, "QEMU_CPU": cpu, **variables})


_held = dict[Path, object]()


def _hold(folder: Path) -> None:
    """Keep other processes out of the folder until this one ends."""
    if folder in _held:
        return
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"waiting for another process that uses {folder}")
        fcntl.flock(lock, fcntl.LOCK_EX)
    _held[folder] = lock


def _outdated(folder: Path, made_of: str) -> bool:
    mark = folder / "made-of"
    return not mark.exists() or mark.read_text(encoding="utf-8") != made_of


def _finished(folder: Path, made_of: str) -> None:
    (folder / "made-of").write_text(made_of, encoding="utf-8")


@functools.cache
def _wheel() -> Path:
    """Build the project's wheel, once a process."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, REPOSITORY])
    (wheel,) = Path(folder).glob("*.whl")
    return wheel


def _requirements(wheel: Path) -> list[str]:
    """Return the wheel's own requirements, those of its extras left out."""
    with ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    return [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
