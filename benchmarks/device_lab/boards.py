"""Raspberry Pis as their system files describe them, played from plain files.

User-mode QEMU serves files below its sysroot in place of the host's. TFLite runtimes read
/proc/cpuinfo and /sys/devices/system/cpu to choose kernels: without them XNNPACK stays off, and
LiteRT 2.2 and newer crash.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

V7 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm"
V8_0 = "fp asimd evtstrm crc32 cpuid"
V8_2 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp"
)


@dataclass(frozen=True)
class Board:
    """A board with four cores.

    Attributes:
        model: As /proc/device-tree/model has it.
        cpu: QEMU's name of its cores.
        part, variant, revision: Of the core, as /proc/cpuinfo has them.
        features: What the core can do, as Linux names it.
        megahertz: The highest clock.
        megabytes: Memory.
        architecture: 8 runs 64-bit systems, 7 does not.
    """

    model: str
    cpu: str
    part: str
    variant: str
    revision: int
    features: str
    megahertz: int
    megabytes: int
    architecture: int = 8

    def write(self, root: Path) -> None:
        """Write the board's files below `root`."""
        for name, text in self._files().items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def _files(self) -> dict[str, str]:
        core = (
            f"BogoMIPS\t: 108.00\nFeatures\t: {self.features}\nCPU implementer\t: 0x41\n"
            f"CPU architecture: {self.architecture}\nCPU variant\t: {self.variant}\n"
            f"CPU part\t: {self.part}\nCPU revision\t: {self.revision}\n\n"
        )
        cpuinfo = "".join(f"processor\t: {number}\n{core}" for number in range(CORES))
        cpus, frequency = "sys/devices/system/cpu", "sys/devices/system/cpu/cpu0/cpufreq"
        total = self.megabytes * 1000
        return {
            "proc/cpuinfo": f"{cpuinfo}Model\t\t: {self.model}\n",
            "proc/device-tree/model": f"{self.model}\0",
            "proc/meminfo": f"MemTotal: {total} kB\nMemAvailable: {total * 6 // 10} kB\n",
            f"{cpus}/possible": f"0-{CORES - 1}\n",
            f"{cpus}/present": f"0-{CORES - 1}\n",
            f"{frequency}/scaling_governor": "ondemand\n",
            f"{frequency}/scaling_cur_freq": "600000\n",
            f"{frequency}/cpuinfo_max_freq": f"{self.megahertz}000\n",
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "sys/class/thermal/thermal_zone0/temp": "48312\n",
        }


CORES = 4
BOARDS = {
    "pi2": Board(
        "Raspberry Pi 2 Model B Rev 1.1", "cortex-a7", "0xc07", "0x0", 5, V7, 900, 1000, 7
    ),
    "zero2w": Board(
        "Raspberry Pi Zero 2 W Rev 1.0", "cortex-a53", "0xd03", "0x0", 4, V8_0, 1000, 512
    ),
    "pi3": Board(
        "Raspberry Pi 3 Model B Plus Rev 1.3", "cortex-a53", "0xd03", "0x0", 4, V8_0, 1400, 1000
    ),
    "pi4": Board(
        "Raspberry Pi 4 Model B Rev 1.4", "cortex-a72", "0xd08", "0x0", 3, V8_0, 1800, 4000
    ),
    "pi5": Board(
        "Raspberry Pi 5 Model B Rev 1.0", "cortex-a76", "0xd0b", "0x4", 1, V8_2, 2400, 8000
    ),
}
