"""An Arm Debian userland with this project installed in it, made without root.

The project is installed as docs/device.md says: the userland's own Python makes a virtual
environment, and its pip takes the wheel and what the wheel asks for there. Both run under user-mode
QEMU, behind a script in place of the interpreter: the environment's commands start on the host
as if this were the board.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

from boards import BOARDS
from debian import KEYRING, run, unpack

from emo_edge.artifacts import sha256
from emo_edge.errors import UsageError
from emo_edge.messages import say

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
# Program -> the Debian packages that bring it.
TOOLS = {
    "qemu-aarch64": "qemu-user",
    "qemu-arm": "qemu-user",
    "gcc": "gcc libc6-dev",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
}
PACKAGES = ("python3", "python3-venv", "libstdc++6", "libgomp1", "libatomic1")
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")


@dataclass(frozen=True)
class Suite:
    """A Debian release as a board has it.

    Attributes:
        release, architecture: Debian's names.
        python: Its Python.
        beside: What a user may install beside the project: another runtime, with all that it needs.
    """

    release: str
    architecture: str
    python: str
    beside: tuple[str, ...] = ()

    @property
    def emulator(self) -> str:
        """The program that runs this architecture's programs."""
        return {"arm64": "qemu-aarch64", "armhf": "qemu-arm"}[self.architecture]


SUITES = {
    "bookworm": Suite("bookworm", "arm64", "3.11", ("ai-edge-litert==1.2.0", "flatbuffers")),
    "trixie": Suite("trixie", "arm64", "3.13"),
}


@dataclass(frozen=True)
class Userland:
    """A finished userland.

    Attributes:
        suite: What it is.
        root: Where Debian lies.
        environment: The virtual environment that holds the project.
        beside: A folder of packages, for PYTHONPATH.
    """

    suite: Suite
    root: Path
    environment: Path
    beside: Path

    @property
    def site(self) -> Path:
        """The environment's site-packages."""
        return self.environment / "lib" / f"python{self.suite.python}" / "site-packages"

    @property
    def paths(self) -> tuple[Path, Path]:
        """The folders of what was installed: the project's, and what may be beside."""
        return self.site, self.beside

    @property
    def program(self) -> Path:
        """Python's Arm program."""
        return self.root / "usr/bin" / f"python{self.suite.python}"

    def emulated(self, *options: object) -> list[str]:
        """Return the words that start the environment's Python under QEMU with more options."""
        # Python looks for its environment, and for what to start children with, by its own name.
        name = self.environment / "bin/python"
        words = (self.suite.emulator, "-L", self.root, "-0", name, *options, self.program)
        return [str(word) for word in words]

    def run(
        self, board: str, *words: str | Path, beside: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment as on a board.

        Args:
            board: Key of `BOARDS`.
            words: Name of the command and its arguments.
            beside: With the other runtime within reach.
            variables: For the command's environment, which is otherwise that of a fresh login.
        """
        program, *arguments = words
        return subprocess.run(
            [str(self.environment / "bin" / program), *map(str, arguments)],
            env={**self.login(board, beside), **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def login(self, board: str, beside: bool = False) -> dict[str, str]:
        """Become a board, and return the environment variables of a user there."""
        BOARDS[board].write(self.root)
        variables = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"}
        if beside:
            variables["PYTHONPATH"] = str(self.beside)
        return {**variables, "QEMU_CPU": BOARDS[board].cpu}


def default_folder() -> Path:
    """Return $EMO_LAB, else a folder in the user's cache; it may not exist yet."""
    return Path(os.environ.get("EMO_LAB") or "~/.cache/emo-toolkit-lab").expanduser().absolute()


def require_tools() -> None:
    """Raise `UsageError` naming the line that installs what the host lacks."""
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if not KEYRING.exists():
        missing.append("debian-archive-keyring")
    if missing:
        packages = " ".join(dict.fromkeys(missing))
        raise UsageError(f"this host lacks tools; on Debian run: sudo apt-get install {packages}")
    helped = subprocess.run(["qemu-aarch64", "-help"], capture_output=True, text=True, check=False)
    if "-plugin" not in helped.stdout:
        raise UsageError(
            "this qemu-aarch64 takes no plugins (static builds do not); "
            "on Debian run: sudo apt-get install qemu-user"
        )


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
    userland = Userland(suite, folder / "root", folder / "emo", folder / "beside")
    wheel = _wheel(folder)
    debian = f"{suite.release} {suite.architecture} {' '.join(PACKAGES)}"
    if _outdated(userland.root, debian):
        say(f"fetching Debian {suite.release} for {suite.architecture} (once)")
        unpack(folder / "apt", userland.root, suite.release, suite.architecture, PACKAGES)
        _finished(userland.root, debian)
    needed = "\n".join([debian, *_requirements(wheel), *suite.beside])
    if _outdated(userland.environment, needed):
        say(f"installing for Python {suite.python} on {suite.architecture} (once)")
        _make_environment(userland, wheel)
        _finished(userland.environment, needed)
    installed = sha256(wheel.read_bytes())
    mark = userland.environment / "wheel.sha256"
    if not mark.exists() or mark.read_text(encoding="utf-8") != installed:
        _guest(userland, "emo/bin/python", *PIP, "--no-deps", "--force-reinstall", wheel)
        mark.write_text(installed, encoding="utf-8")
    return userland


def counter(work: Path) -> Path:
    """Compile the plugin that counts instructions, and return it."""
    plugin = work / "counter.so"
    run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", plugin, HERE / "counter.c"])
    return plugin


def _make_environment(userland: Userland, wheel: Path) -> None:
    script = userland.root / "usr/bin/emulated-python"
    words = [userland.suite.emulator, "-L", userland.root]
    started = f'exec {shlex.join(map(str, words))} -0 "$0" {shlex.quote(str(userland.program))}'
    script.write_text(f'#!/bin/sh\n{started} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    shutil.rmtree(userland.environment, ignore_errors=True)
    _guest(userland, "root/usr/bin/emulated-python", "-m", "venv", userland.environment)
    _guest(userland, "emo/bin/python", *PIP, wheel)
    shutil.rmtree(userland.beside, ignore_errors=True)
    if userland.suite.beside:
        options = ("--no-deps", "--target", userland.beside)
        _guest(userland, "emo/bin/python", *PIP, *options, *userland.suite.beside)


def _guest(userland: Userland, program: str, *words: object) -> None:
    """Run Python as a board, with this user's settings for pip and the network."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    board = userland.login("pi4")
    variables = {**own, "QEMU_CPU": board["QEMU_CPU"]}
    run([userland.root.parent / program, *words], environment=variables)


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


def _wheel(folder: Path) -> Path:
    wheels = folder / "wheel"
    shutil.rmtree(wheels, ignore_errors=True)
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", wheels, REPOSITORY])
    (wheel,) = wheels.glob("*.whl")
    return wheel


def _requirements(wheel: Path) -> list[str]:
    """Return the wheel's own requirements, those of its extras left out."""
    with ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    return [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
