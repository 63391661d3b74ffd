"""A 64-bit Arm Debian userland with this project installed in it, made without root.

Debian packages are fetched by a private apt for the foreign architecture and unpacked; wheels are
the real aarch64 ones, by exactly the requirements that the project's own wheel names there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement

from emo_edge.errors import HealthError, UsageError
from emo_edge.messages import say

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR = "http://deb.debian.org/debian"
# Program -> the Debian package that brings it.
TOOLS = {
    "qemu-aarch64": "qemu-user",
    "gcc": "gcc libc6-dev",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
}
PACKAGES = ("python3", "libstdc++6", "libgomp1", "libatomic1")
GLIBC_TAGS = ("2014", "_2_17", "_2_27", "_2_28", "_2_34")


@dataclass(frozen=True)
class Suite:
    """A Debian release: its Python, its glibc, and runtimes to measure beside the project's own."""

    python: str
    glibc_tags: tuple[str, ...]
    beside: tuple[str, ...] = ()


SUITES = {
    "bookworm": Suite("3.11", GLIBC_TAGS, ("ai-edge-litert==1.2.0",)),
    "trixie": Suite("3.13", (*GLIBC_TAGS, "_2_39")),
}


class LabError(HealthError):
    """The userland cannot be made."""


@dataclass(frozen=True)
class Userland:
    """Where a finished userland lies."""

    root: Path
    site: Path
    python: Path
    plugin: Path


def require_tools() -> None:
    """Raise `UsageError` naming the line that installs what the host lacks."""
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if not KEYRING.exists():
        missing.append("debian-archive-keyring")
    if missing:
        raise UsageError(
            f"this host lacks tools; on Debian run: sudo apt-get install {' '.join(missing)}"
        )
    helped = subprocess.run(["qemu-aarch64", "-help"], capture_output=True, text=True, check=False)
    if "-plugin" not in helped.stdout:
        raise UsageError(
            "this qemu-aarch64 takes no plugins (static builds do not); "
            "on Debian run: sudo apt-get install qemu-user"
        )


def build(work: Path, name: str) -> Userland:
    """Make or complete the userland of suite `name` below `work`; the project is built anew."""
    require_tools()
    suite = SUITES[name]
    work.mkdir(parents=True, exist_ok=True)
    root, site = work / f"root-{name}", work / f"site-{name}"
    if not (root / "ready").exists():
        say(f"fetching Debian {name} for arm64 (once)")
        _unpack_debian(work, name, root)
    _install(work, site, suite)
    plugin = work / "counter.so"
    _run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", plugin, HERE / "counter.c"])
    return Userland(root, site, root / "usr/bin" / f"python{suite.python}", plugin)


def _unpack_debian(work: Path, name: str, root: Path) -> None:
    apt = work / f"apt-{name}"
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    sources = apt / "sources.list"
    sources.write_text(
        f"deb [arch=arm64 signed-by={KEYRING}] {_mirror()} {name} main\n", encoding="utf-8"
    )
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Debug::NoLocking": "1",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
    }
    command = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in settings.items())]
    _run([*command, "update"])
    _run([*command, "install", "-y", "--no-install-recommends", "--download-only", *PACKAGES])
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "sbin", "lib"):  # merged /usr, which no package makes
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    for package in sorted((apt / "cache/archives").glob("*.deb")):
        archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
        options = ("--no-same-owner", "--keep-directory-symlink", "--exclude=./dev")
        _run(["tar", "-x", "-C", root, *options], stdin=archive.stdout)
        archive.wait()
    (root / "ready").touch()


def _mirror() -> str:
    """Return the Debian mirror that this host uses, or the official one."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    own = [line for line in done.stdout.split() if line.rstrip("/").endswith("/debian")]
    return own[0] if own else MIRROR


def _install(work: Path, site: Path, suite: Suite) -> None:
    wheel = _wheel(work)
    wanted = [*_requirements(wheel, suite.python), *suite.beside]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    listed = site / "requirements.txt"
    if not listed.exists() or listed.read_text(encoding="utf-8").split("\n") != wanted:
        say(f"fetching aarch64 wheels for Python {suite.python} (once)")
        shutil.rmtree(site, ignore_errors=True)
        platforms = (f"--platform=manylinux{tag}_aarch64" for tag in suite.glibc_tags)
        target = ["--target", site, "--only-binary=:all:", "--implementation=cp"]
        _run([*pip, *target, f"--python-version={suite.python}", *platforms, *wanted])
        listed.write_text("\n".join(wanted), encoding="utf-8")
    _run([*pip, "--no-deps", "--upgrade", "--target", site, wheel])


def _wheel(work: Path) -> Path:
    folder = work / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, REPOSITORY])
    (wheel,) = folder.glob("*.whl")
    return wheel


def _requirements(wheel: Path, python: str) -> list[str]:
    """Return what the wheel requires on aarch64 Linux with `python`; pip would ask this host."""
    target = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_machine": "aarch64",
        "platform_system": "Linux",
        "extra": "",
    }
    with ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    every = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    kept = [r for r in every if r.marker is None or r.marker.evaluate(target)]
    return sorted(f"{r.name}{r.specifier}" for r in kept)


def _run(command: Sequence[object], stdin: object = None) -> None:
    words = [str(word) for word in command]
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        words, stdin=stdin, capture_output=True, text=True, env=environment, check=False
    )  # type: ignore[call-overload]
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        told = lines[-1] if lines else f"exit status {done.returncode}"
        raise LabError(f"{words[0]} failed: {told[:300]}")
