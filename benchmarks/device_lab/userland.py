"""An Arm Debian userland in which this project is installed: which there are, how to use one.

Programs run under user-mode QEMU, behind a script in place of the environment's Python: its
commands start on the host as if this were the board.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from boards import BOARDS
from debian import KEYRING, run

from emo_edge.errors import UsageError

HERE = Path(__file__).parent
# Program -> the Debian packages that bring it.
TOOLS = {
    "qemu-aarch64": "qemu-user",
    "qemu-arm": "qemu-user",
    "gcc": "gcc libc6-dev",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
}
PROJECT = "emo-toolkit"
RUNTIMES = ("tflite_runtime", "ai_edge_litert")


@dataclass(frozen=True)
class Suite:
    """A Debian release as a board has it, and how docs/device.md says to install there.

    Attributes:
        release, architecture: Debian's names.
        python: Its Python.
        packages: Of Debian.
        venv: Options of `python3 -m venv`.
        pip: Arguments of one `pip install` after the other; "emo-toolkit" becomes the wheel.
        beside: What a user may install beside: another runtime, with all that it needs.
    """

    release: str
    architecture: str
    python: str
    packages: tuple[str, ...] = ("python3-venv",)
    venv: tuple[str, ...] = ()
    pip: tuple[tuple[str, ...], ...] = ((PROJECT,),)
    beside: tuple[str, ...] = ()

    @property
    def emulator(self) -> str:
        """The program that runs this architecture's programs."""
        return {"arm64": "qemu-aarch64", "armhf": "qemu-arm"}[self.architecture]

    @property
    def boards(self) -> list[str]:
        """The boards to try it on; QEMU's 32-bit emulator knows no 64-bit cores."""
        version = {"arm64": 8, "armhf": 7}[self.architecture]
        return [name for name, board in BOARDS.items() if board.architecture == version]


SUITES = {
    "bookworm": Suite("bookworm", "arm64", "3.11", beside=("ai-edge-litert==1.2.0", "flatbuffers")),
    "trixie": Suite("trixie", "arm64", "3.13"),
    "bookworm-32": Suite(
        "bookworm",
        "armhf",
        "3.11",
        packages=("python3-venv", "python3-numpy", "python3-opencv", "opencv-data"),
        venv=("--system-site-packages",),
        pip=(("typer>=0.26,<0.29",), ("--no-deps", "tflite-runtime==2.14.0", PROJECT)),
    ),
}


@dataclass(frozen=True)
class Userland:
    """A finished userland.

    Attributes:
        suite: What it is.
        root: Where Debian lies.
        environment: The virtual environment that holds the project.
        beside, pip: Folders of packages, for PYTHONPATH.
    """

    suite: Suite
    root: Path
    environment: Path
    beside: Path
    pip: Path

    @property
    def site(self) -> Path:
        """The environment's site-packages."""
        return self.environment / "lib" / f"python{self.suite.python}" / "site-packages"

    @property
    def home(self) -> Path:
        """The user's home."""
        return self.environment.parent / "home"

    @property
    def program(self) -> Path:
        """Python's Arm program."""
        return self.root / "usr/bin" / f"python{self.suite.python}"

    def has(self, runtime: str) -> bool:
        """Whether a runtime is installed, or lies beside."""
        return any((folder / runtime).exists() for folder in (self.site, self.beside))

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
            words: Name of the command and its arguments, paths absolute: it starts at home.
            beside: With the other runtime within reach.
            variables: For the command's environment, which is otherwise that of a fresh login.
        """
        program, *arguments = words
        return subprocess.run(
            [str(self.environment / "bin" / program), *map(str, arguments)],
            env={**self.login(board, beside), **variables},
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )

    def login(self, board: str, beside: bool = False) -> dict[str, str]:
        """Become a board, and return the environment variables of a user there."""
        BOARDS[board].write(self.root)
        self.home.mkdir(exist_ok=True)
        variables = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LC_ALL": "C.UTF-8"}
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


def counter(work: Path) -> Path:
    """Compile the plugin that counts instructions, and return it."""
    plugin = work / "counter.so"
    run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", plugin, HERE / "counter.c"])
    return plugin
