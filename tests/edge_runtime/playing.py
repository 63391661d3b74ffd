"""A board played from a folder of files, as its kernel would show them."""

from __future__ import annotations

from pathlib import Path

PI_ZONE = "sys/class/thermal/thermal_zone0"
PI_CPU = "sys/devices/system/cpu/cpu0/cpufreq"
PI_SYSFS_FLAGS = "sys/devices/platform/soc/soc:firmware/get_throttled"


def play(root: Path, **files: str) -> Path:
    """Write files below `root`; returns `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.new")  # a kernel's file is never half written
        new.write_text(content, encoding="utf-8")
        if content.startswith("#!"):
            new.chmod(0o755)
        new.replace(path)
    return root


def raspberry_pi(root: Path, *, celsius: float = 48.3, word: int = 0) -> Path:
    """Play a Raspberry Pi 4 with its firmware's command."""
    play(
        root,
        **{
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
            "proc/loadavg": "0.52 0.58 0.59 1/189 4242\n",
            f"{PI_ZONE}/type": "cpu-thermal\n",
            f"{PI_ZONE}/temp": f"{round(celsius * 1000)}\n",
            f"{PI_CPU}/scaling_governor": "ondemand\n",
            f"{PI_CPU}/scaling_cur_freq": "600000\n",
            f"{PI_CPU}/cpuinfo_max_freq": "1800000\n",
        },
    )
    return firmware(root, f"echo throttled={word:#x}")


def firmware(root: Path, script: str) -> Path:
    """Let `vcgencmd` of this board be a shell script."""
    return play(root, **{"usr/bin/vcgencmd": f"#!/bin/sh\n{script}\n"})
