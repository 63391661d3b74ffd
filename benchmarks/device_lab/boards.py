"""Raspberry Pis as their system files describe them, played from plain files.

User-mode QEMU serves files below its sysroot in place of the host's. TFLite runtimes read
/proc/cpuinfo and /sys/devices/system/cpu to choose kernels: without them XNNPACK stays off, and
LiteRT 2.2 and newer crash.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

V8_0 = "fp asimd evtstrm crc32 cpuid"
V8_2 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp"
)


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes:
        model: As /proc/device-tree/model has it.
        cpu: QEMU's name of its cores.
        part, variant, revision: Of the core, as /proc/cpuinfo has them.
        features: What the core can do, as Linux names it.
    """

    model: str
    cpu: str
    part: str
    variant: str
    revision: int
    features: str

    def write(self, root: Path, cores: int = 4) -> None:
        """Write the board's files below `root`."""
        core = (
            f"BogoMIPS\t: 108.00\nFeatures\t: {self.features}\nCPU implementer\t: 0x41\n"
            f"CPU architecture: 8\nCPU variant\t: {self.variant}\nCPU part\t: {self.part}\n"
            f"CPU revision\t: {self.revision}\n\n"
        )
        cpuinfo = "".join(f"processor\t: {number}\n{core}" for number in range(cores))
        files = {
            "proc/cpuinfo": f"{cpuinfo}Model\t\t: {self.model}\n",
            "proc/device-tree/model": f"{self.model}\0",
            "sys/devices/system/cpu/possible": f"0-{cores - 1}\n",
            "sys/devices/system/cpu/present": f"0-{cores - 1}\n",
            "sys/class/thermal/thermal_zone0/temp": "48312\n",
        }
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


BOARDS = {
    "pi3": Board("Raspberry Pi 3 Model B Plus Rev 1.3", "cortex-a53", "0xd03", "0x0", 4, V8_0),
    "pi4": Board("Raspberry Pi 4 Model B Rev 1.4", "cortex-a72", "0xd08", "0x0", 3, V8_0),
    "pi5": Board("Raspberry Pi 5 Model B Rev 1.0", "cortex-a76", "0xd0b", "0x4", 1, V8_2),
}
