"""`emo-edge` as a service of systemd: written, started, asked after, taken away again."""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from emo_edge.artifacts import write_bytes
from emo_edge.board.unit import NAME, unit_text
from emo_edge.errors import HealthError, OutputError, UsageError

UNIT_FILE = Path("/etc/systemd/system") / f"{NAME}.service"
RUNNING = Path("/run/systemd/system")  # as sd_booted(3) asks
HOMES = (Path("/home"), Path("/root"))
ASKED = ("ActiveState", "SubState", "StatusText", "NRestarts", "Result", "MainPID")


def plan(
    arguments: Sequence[str],
    *,
    needed: Sequence[Path],
    user: str | None = None,
    writable: Sequence[Path] = (),
) -> str:
    """Return the unit that runs `emo-edge` with `arguments`.

    Args:
        arguments: Options of the run, as after `emo-edge`.
        needed: Files that it reads, besides the program.
        user: Who it runs as; None for a user that exists only while it runs or, where the program
            or a needed file lies in a home, the owner of that home.
        writable: Folders that it may write to besides /var/lib/emo-edge.

    Raises `UsageError` if the user or a folder does not exist, a needed file may not be read, or
    root alone could run it.
    """
    program = Path(sys.executable).with_name(NAME).absolute()
    at_home = [path for path in (program, *needed) if _home(path) is not None]
    if user is None and at_home:
        user = _owner(at_home[0])
    if user is not None and user not in {entry.pw_name for entry in pwd.getpwall()}:
        raise UsageError(f"no user {user!r} on this machine")
    if user is None:
        for path in needed:
            if path.is_file() and not path.stat().st_mode & stat.S_IROTH:
                raise UsageError(
                    f"the service's own user cannot read {path}: give --user NAME, or chmod o+r it"
                )
    for folder in writable:
        if not folder.is_dir():
            raise UsageError(f"no folder {folder}: make it first")
    return unit_text(
        [str(program), *arguments],
        user=user,
        # A user has its configuration and its face detector at home.
        home="read-only" if user or at_home else "yes",
        writable=[folder.absolute() for folder in writable],
        machine=platform.machine(),
        systemd=_systemd_version(),
    )


def install(text: str) -> None:
    """Write the unit, start it, and start it at every boot.

    Raises `UsageError` without systemd or root, `OutputError` if systemd refuses.
    """
    _require_systemd()
    _require_root("install")
    write_bytes(UNIT_FILE, text.encode())
    _systemctl("daemon-reload")
    _systemctl("enable", UNIT_FILE.name)
    _systemctl("reset-failed", UNIT_FILE.name, refused_is_fine=True)  # nothing had failed
    _systemctl("restart", "--no-block", UNIT_FILE.name)  # also where an older one runs


def remove() -> bool:
    """Stop the service and take its unit away; returns False if there was none.

    What it wrote to /var/lib/emo-edge stays. Raises as `install` does.
    """
    _require_systemd()
    if not UNIT_FILE.exists():
        return False
    _require_root("remove")
    _systemctl("disable", "--now", UNIT_FILE.name)
    UNIT_FILE.unlink()
    _systemctl("daemon-reload")
    _systemctl("reset-failed", UNIT_FILE.name, refused_is_fine=True)  # nothing had failed
    return True


def status() -> dict[str, str]:
    """Return what systemd knows of the service; empty if it is not installed."""
    _require_systemd()
    if not UNIT_FILE.exists():
        return {}
    said = _systemctl("show", UNIT_FILE.name, f"--property={','.join(ASKED)}")
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def require_active(state: dict[str, str]) -> None:
    """Raise `HealthError` unless the service runs."""
    if not state:
        raise HealthError(f"not installed; run: emo-edge service install (no {UNIT_FILE})")
    if state.get("ActiveState") != "active":
        raise HealthError(
            f"the service is {state.get('ActiveState')} ({state.get('Result')}); "
            f"see: journalctl -u {NAME} -n 50"
        )


def _home(path: Path) -> Path | None:
    """Return the home folder that `path` or what it points to lies in, if it does."""
    for place in (path.absolute(), path.resolve()):
        for homes in HOMES:
            if place.is_relative_to(homes):
                return homes if homes == HOMES[1] else homes / place.relative_to(homes).parts[0]
    return None


def _owner(path: Path) -> str:
    home = _home(path)
    assert home is not None
    try:
        owner = home.owner()
    except (KeyError, OSError):
        owner = "root"
    if owner == "root":
        raise UsageError(
            f"{path} lies in root's home, which a service should not enter: install into "
            "/opt (python3 -m venv /opt/emo-toolkit) and keep models there, or give --user root"
        )
    return owner


def _require_systemd() -> None:
    if not RUNNING.is_dir() or shutil.which("systemctl") is None:
        raise UsageError(
            "systemd does not run this machine; --dry-run shows the unit, and any supervisor that "
            "restarts `emo-edge` will do"
        )


def _require_root(what: str) -> None:
    if os.geteuid() != 0:
        program = Path(sys.executable).with_name(NAME)
        raise UsageError(f"this needs root; run: sudo {program} service {what} ...")


def _systemd_version() -> int:
    if shutil.which("systemctl") is None:
        return 0
    words = _systemctl("--version").split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def _systemctl(*words: str, refused_is_fine: bool = False) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode and not refused_is_fine:
        reason = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise OutputError(f"systemctl {' '.join(words)}: {reason[-1]}")
    return done.stdout
