"""A 64-bit Arm machine under QEMU: Debian's own kernel, a Debian userland with this project in it.

Everything lies in memory, and time is what the processor executes: one instruction takes one
nanosecond, and sleeping takes none of the host's. However slow the host is, the guest's clock does
not notice. Where a disk is in use idle time passes as on the host: what waits for a disk sleeps.
"""

from __future__ import annotations

import json
import lzma
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debian import unpack
from userland import Userland

from device.ramdisk import Ramdisk
from emo_edge.messages import say

GUEST = Path(__file__).with_name("guest")
# Module -> its options. vivid: one device that captures video.
MODULES = {
    "virtio_pci": "",
    "virtio_console": "",
    "virtio_blk": "",
    "ext4": "",
    "vivid": "n_devs=1 node_types=0x1",
    "vhci-hcd": "",
    "uvcvideo": "",
}
TOOLS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "depmod": "kmod",
    "mke2fs": "e2fsprogs",
    "modprobe": "kmod",
}
MEMORY = "1024"
# By name, wherever they lie: the image is copied through the guest's memory.
NOT_NEEDED = (
    "__pycache__", "distutils", "doc", "f2py", "gconv", "locale", "man", "pip", "tests", "zoneinfo",
)  # fmt: skip


class GuestError(AssertionError):
    """The machine did not come to its end."""


@dataclass(frozen=True)
class Machine:
    """What QEMU boots.

    Attributes:
        kernel: Linux.
        image: Its first file system.
    """

    kernel: Path
    image: Path

    def start(
        self,
        script: str,
        folder: Path,
        *,
        drives: Sequence[str] = (),
        real_time: bool = False,
        **variables: object,
    ) -> Boot:
        """Begin to run `guest/SCRIPT.py`.

        Args:
            script: Which.
            folder: For the console's log and what the guest tells.
            drives: QEMU's -blockdev, each named disk0, disk1 and so on: /dev/vda, /dev/vdb ...
            variables: For the script's environment.
            real_time: Let idle time pass as on the host: disks take the host's time.
        """
        folder.mkdir(parents=True, exist_ok=True)
        told, console = folder / "told.jsonl", folder / "console.log"
        sleep = "on" if real_time else "off"
        environment = " ".join(f"{k}={v}" for k, v in {"RUN": script, **variables}.items())
        words = [
            "qemu-system-aarch64", "-accel", "tcg", "-M", "virt",
            "-cpu", "cortex-a72", "-smp", "1", "-m", MEMORY, "-icount", f"shift=0,sleep={sleep}",
            "-nodefaults", "-nographic", "-no-reboot", "-serial", f"file:{console}",
            "-chardev", f"file,id=told,path={told}",
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=told",
            "-kernel", str(self.kernel), "-initrd", str(self.image),
            "-append", f"console=ttyAMA0 quiet panic=-1 rdinit=/init {environment}",
        ]  # fmt: skip
        for number, drive in enumerate(drives):
            words += ["-blockdev", drive, "-device", f"virtio-blk-pci,drive=disk{number}"]
        complaints = (folder / "qemu.log").open("wb")
        with complaints:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=complaints)
        return Boot(process, folder)


@dataclass(frozen=True)
class Boot:
    """A machine that runs."""

    process: subprocess.Popen[bytes]
    folder: Path

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        """Return what the guest told, once it has switched itself off."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise GuestError(f"not finished after {seconds:g} s; {self._last_words()}") from None
        finally:
            self.cut()
        if code:
            raise GuestError(f"QEMU ended with {code}; {self._last_words()}")
        told = self.told()
        if not told or told[-1]["event"] != "finished":
            raise GuestError(f"the guest did not finish; {self._last_words()}")
        return told

    def told(self) -> list[dict[str, Any]]:
        """Return what the guest has told so far."""
        path = self.folder / "told.jsonl"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def cut(self) -> None:
        """Pull the plug, if it is still on."""
        self.process.kill()
        self.process.wait()

    def _last_words(self) -> str:
        logs = (self.folder / name for name in ("qemu.log", "console.log", "told.jsonl"))
        tails = [path.read_text("utf-8", "replace")[-1500:] for path in logs if path.exists()]
        return "\n".join(tails)


def missing_tools() -> str:
    """Return the Debian packages that this host lacks."""
    return " ".join(sorted({TOOLS[tool] for tool in TOOLS if shutil.which(tool) is None}))


def fetch_kernel(folder: Path, release: str) -> Path:
    """Return a folder with Debian's kernel and busybox; fetched once, kept in `folder`.

    Raises:
        UnreachableError: no mirror answers.
    """
    kernel = folder / "kernel"
    if not (kernel / "ready").exists():
        say(f"fetching the kernel of Debian {release} for arm64 (once)")
        packages = ("linux-image-arm64", "busybox-static")
        unpack(folder / "apt-kernel", kernel, release, "arm64", packages)
        (kernel / "ready").touch()
    return kernel


def assemble(work: Path, userland: Userland, kernel: Path, pictures: Path) -> Machine:
    """Make the image.

    Args:
        work: Where to.
        userland: Debian for arm64, with this project in it.
        kernel: From `fetch_kernel`.
        pictures: What the emulated webcam shows.
    """
    image = work / "machine.cpio"
    with image.open("wb") as file:
        disk = Ramdisk(file)
        disk.add_tree(userland.root, leave_out=(*NOT_NEEDED, "proc", "sys", "dev", "boot", "tmp"))
        for name in ("proc", "sys", "dev", "tmp", "root", "mnt", "opt", "modules"):
            disk.add_folder(name)
        for name, tree in (("site", userland.site), ("guest", GUEST), ("pictures", pictures)):
            disk.add_folder(f"opt/{name}")
            disk.add_tree(tree, f"opt/{name}/", leave_out=NOT_NEEDED)
        disk.add_file("init", (GUEST / "init").read_bytes(), 0o755)
        (busybox,) = kernel.glob("usr/bin/busybox")
        disk.add_file("bin/busybox", busybox.read_bytes(), 0o755)
        _add_modules(disk, kernel)
        disk.end()
    (linux,) = kernel.glob("boot/vmlinuz-*")
    return Machine(linux, image)


def _add_modules(disk: Ramdisk, kernel: Path) -> None:
    order = []
    for number, (module, options) in enumerate(_modules(kernel)):
        name, data = f"{number:02d}-{module.stem}", module.read_bytes()
        disk.add_file(f"modules/{name}", lzma.decompress(data) if module.suffix == ".xz" else data)
        order.append(f"{name} {options}\n")
    disk.add_file("modules/order", "".join(order).encode())


def _modules(kernel: Path) -> list[tuple[Path, str]]:
    """Return the files of `MODULES` and of what they need, in order, with their options."""
    (version,) = (path.name for path in (kernel / "lib/modules").iterdir())
    subprocess.run(["depmod", "-b", kernel, version], check=True)
    found: dict[Path, str] = {}
    for name, options in MODULES.items():
        shown = subprocess.run(
            ["modprobe", "-d", kernel, "-S", version, "--show-depends", name],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        lines = (line.split() for line in shown.stdout.splitlines())
        files = [Path(words[1]) for words in lines if words[0] == "insmod"]  # else it is built in
        for path in files:
            found.setdefault(path, "")
        if files:
            found[files[-1]] = options
    return list(found.items())
