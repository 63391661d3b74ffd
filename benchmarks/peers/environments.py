"""One virtual environment per peer, with every version pinned, kept below a folder of the user's.

An environment is named after its pins: other pins make another one, the same pins none.
"""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

from emo_edge.artifacts import sha256
from emo_edge.errors import HealthError
from emo_edge.messages import say

PINS = Path(__file__).with_name("requirements")
REPOSITORY = Path(__file__).parents[2]


class PeerError(HealthError):
    """A peer that cannot be installed or does not run: it is reported, the others go on."""


def environment(cache: Path, name: str) -> Path:
    """Return the Python of the environment `requirements/NAME.txt`, made on first use."""
    pins = PINS / f"{name}.txt"
    home = cache / f"{name}-{sha256(pins.read_bytes())[:8]}"
    if not (home / "ready").exists():
        say(f"installing {home.name} (once)")
        _install(home, "--requirement", str(pins))
    return home / "bin" / "python"


def our_environment(cache: Path) -> Path:
    """Return the Python of an environment with this repository's device install, made anew."""
    home = cache / "emo-toolkit"
    if (home / "ready").exists():
        _pip(home, "--no-deps", "--force-reinstall", str(REPOSITORY))
    else:
        _install(home, str(REPOSITORY))
    return home / "bin" / "python"


def _install(home: Path, *what: str) -> None:
    venv.create(home, with_pip=True, clear=True)
    empty = _bytes_below(home / "lib")
    _pip(home, *what)
    (home / "ready").write_text(str(empty), encoding="utf-8")


def _pip(home: Path, *what: str) -> None:
    command = [home / "bin" / "python", "-m", "pip", "install", "--quiet", *what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise PeerError(f"{home.name} cannot be installed: {' '.join(reason)[:300]}")


def installed_bytes(python: Path) -> int:
    """Return the bytes of what was installed, compiled Python included, pip itself left out."""
    home = python.parents[1]
    return _bytes_below(home / "lib") - int((home / "ready").read_text(encoding="utf-8"))


def _bytes_below(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def versions(python: Path) -> list[str]:
    """Return `name==version` of everything installed but pip."""
    command = [python, "-m", "pip", "list", "--format", "freeze"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.split() if not line.startswith("pip==")]
