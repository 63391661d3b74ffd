"""Debian packages of another architecture, fetched by a private apt and unpacked without root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from emo_edge.errors import HealthError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR = "http://deb.debian.org/debian"


class LabError(HealthError):
    """The userland cannot be made."""


class UnreachableError(LabError):
    """No Debian mirror answers."""


def unpack(apt: Path, root: Path, release: str, architecture: str, packages: Sequence[str]) -> None:
    """Fetch packages with all that they depend on, and unpack them into the new folder `root`.

    No maintainer script runs. What those of the packages used here would do is done by hand.

    Args:
        apt: Folder for apt's lists and archives.
        root: Becomes a root file system with a merged /usr.
        release: Debian's name, e.g. "bookworm".
        architecture: Debian's name, e.g. "arm64".
        packages: Names.

    Raises:
        UnreachableError: no mirror answers.
        LabError: something else failed.
    """
    command = _private_apt(apt, release, architecture)
    try:
        run([*command, "update"])
    except LabError as error:
        raise UnreachableError(f"no Debian mirror answers: {error}") from error
    run([*command, "install", "-y", "--no-install-recommends", "--download-only", *packages])
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "sbin", "lib"):  # merged /usr, which no package makes
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    for package in sorted((apt / "cache/archives").glob("*.deb")):
        archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
        options = ("--no-same-owner", "--keep-directory-symlink", "--exclude=./dev")
        run(["tar", "-x", "-C", root, *options], stdin=archive.stdout)
        archive.wait()
    shutil.rmtree(apt)
    _choose_alternatives(root)


def _private_apt(apt: Path, release: str, architecture: str) -> list[str]:
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    sources = apt / "sources.list"
    origin = f"[arch={architecture} signed-by={KEYRING}] {_mirror()} {release} main"
    sources.write_text(f"deb {origin}\n", encoding="utf-8")
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "",
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
        "Debug::NoLocking": "1",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
    }
    return ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in settings.items())]


def _mirror() -> str:
    """Return the Debian mirror that this host uses, or the official one."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    own = [line for line in done.stdout.split() if line.rstrip("/").endswith("/debian")]
    return own[0] if own else MIRROR


def _choose_alternatives(root: Path) -> None:
    """Link the one BLAS and LAPACK that there are, as update-alternatives would."""
    for library in ("blas/libblas.so.3", "lapack/liblapack.so.3"):
        for file in root.glob(f"usr/lib/*/{library}"):
            (file.parents[1] / file.name).symlink_to(library)


def run(
    command: Sequence[object], stdin: object = None, environment: dict[str, str] | None = None
) -> None:
    """Run a program of the host; raises `LabError` with its last words if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        stdin=stdin,
        capture_output=True,
        text=True,
        env={**(environment or os.environ), "LC_ALL": "C"},
        check=False,
    )  # type: ignore[call-overload]
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        told = lines[-1] if lines else f"exit status {done.returncode}"
        raise LabError(f"{words[0]} failed: {told[:300]}")
