"""What a Linux board says about itself: temperature, throttling, voltage, clock, load.

Everything is read from files below a root folder ("/" on the board itself, so that a board can be
played from a folder), and from `vcgencmd` on a Raspberry Pi. What a board does not tell is None.
"""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")

# Bits of the Raspberry Pi firmware's GET_THROTTLED, from the documentation of `vcgencmd`; the same
# 16 places higher: has happened since boot.
THROTTLE_BITS = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
SINCE_BOOT = 16

# What is the CPU's among a board's thermal zones, best first; a zone may also be the battery's, the
# modem's or the wireless card's.
CPU_ZONES = (r"cpu|x86_pkg_temp|bigcore|littlecore", r"soc|package|core", r"")
# A zone that is switched off reports 0, -274000 or 127000 on one board or another.
PLAUSIBLE_CELSIUS = (-40.0, 126.0)

# Where the kernel tells no limit: a Raspberry Pi's firmware throttles from here on.
THROTTLE_CELSIUS = 80.0
PLAUSIBLE_LIMIT = (60.0, 115.0)

VCGENCMD_SECONDS = 2.0


@dataclass(frozen=True)
class Throttling:
    """What slows the board down, in the words of `THROTTLE_BITS`."""

    now: tuple[str, ...] = ()
    since_boot: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoardState:
    """A board at one moment; None is what it does not tell.

    Attributes:
        celsius: Temperature of the CPU.
        throttling: Throttle flags; only a Raspberry Pi has them all, where the mainline kernel's
            voltage sensor is all there is only under-voltage is known.
        governor: CPU frequency governor, e.g. "ondemand".
        megahertz, max_megahertz: Frequency of the fastest CPU, and the highest it can have.
        load: Average number of runnable processes over the last minute.
    """

    celsius: float | None
    throttling: Throttling | None
    governor: str | None
    megahertz: float | None
    max_megahertz: float | None
    load: float | None


def read_board(root: Path = ROOT) -> BoardState:
    """Return the state of the board."""
    governor, megahertz, max_megahertz = _frequency(root)
    return BoardState(
        celsius=celsius(root),
        throttling=throttling(root),
        governor=governor,
        megahertz=megahertz,
        max_megahertz=max_megahertz,
        load=_number((_text(root / "proc/loadavg") or "").partition(" ")[0]),
    )


def board_model(root: Path = ROOT) -> str | None:
    """Return the board's name, e.g. "Raspberry Pi 4 Model B Rev 1.4", or that of a PC's board."""
    return _text(root / "proc/device-tree/model") or _text(root / "sys/class/dmi/id/product_name")


def cpu_model(root: Path = ROOT) -> str | None:
    """Return the CPU's name; on Arm often that of the board, or the part number."""
    info = dict[str, str]()
    for line in (_text(root / "proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        info.setdefault(name.strip(), value.strip())
    part = f"CPU part {info['CPU part']}" if "CPU part" in info else None
    return info.get("model name") or info.get("Model") or part or platform.processor() or None


def celsius(root: Path = ROOT) -> float | None:
    """Return the temperature of the CPU; of several CPU sensors the hottest."""
    return max((degrees for _, degrees in _cpu_zones(root)), default=None)


def throttle_celsius(root: Path = ROOT) -> float:
    """Return the temperature at which the kernel or the firmware slows the CPU down."""
    limits = [
        limit
        for zone, _ in _cpu_zones(root)
        for trip in zone.glob("trip_point_*_type")
        if _text(trip) == "passive"
        and (limit := _thousandths(trip.with_name(trip.name.replace("type", "temp")))) is not None
        and PLAUSIBLE_LIMIT[0] <= limit <= PLAUSIBLE_LIMIT[1]
    ]
    return min(limits, default=THROTTLE_CELSIUS)


def _cpu_zones(root: Path) -> list[tuple[Path, float]]:
    """Return the thermal zones of the CPU that work, each with its temperature."""
    zones = [
        (zone, _text(zone / "type") or "", degrees)
        for zone in sorted(root.glob("sys/class/thermal/thermal_zone*"))
        if (degrees := _thousandths(zone / "temp")) is not None
        and PLAUSIBLE_CELSIUS[0] < degrees < PLAUSIBLE_CELSIUS[1]
        and degrees != 0
    ]
    for pattern in CPU_ZONES:
        found = [(zone, now) for zone, kind, now in zones if re.search(pattern, kind.lower())]
        if found:
            return found
    return []


def throttling(root: Path = ROOT) -> Throttling | None:
    """Return what slows the board down, from the best source there is.

    `vcgencmd` alone knows what has happened since boot: the kernel's own file is deprecated, and
    the kernel's voltage sensor resets the firmware's memory behind it every two seconds.
    """
    word = _vcgencmd(root)
    if word is not None:
        return decode(word)
    word = _hexadecimal(_text(root / "sys/devices/platform/soc/soc:firmware/get_throttled"))
    if word is not None:
        return Throttling(decode(word).now)
    for sensor in root.glob("sys/class/hwmon/hwmon*"):
        if _text(sensor / "name") == "rpi_volt":
            low = _text(sensor / "in0_lcrit_alarm") == "1"
            return Throttling((THROTTLE_BITS[0],) if low else ())
    return None


def decode(word: int) -> Throttling:
    """Return the meaning of a Raspberry Pi's throttle word, e.g. 0x50005."""
    return Throttling(
        tuple(name for bit, name in THROTTLE_BITS.items() if word >> bit & 1),
        tuple(name for bit, name in THROTTLE_BITS.items() if word >> (bit + SINCE_BOOT) & 1),
    )


def _vcgencmd(root: Path) -> int | None:
    """Ask the firmware; None on another board, or where this user may not ask (group video)."""
    command = root / "usr/bin/vcgencmd"
    if not command.exists():
        return None
    try:
        done = subprocess.run(
            [command, "get_throttled"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=VCGENCMD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.fullmatch(r"throttled=(0x[0-9a-fA-F]+)", done.stdout.strip())
    return _hexadecimal(found.group(1)) if found and done.returncode == 0 else None


def _frequency(root: Path) -> tuple[str | None, float | None, float | None]:
    """Return governor, MHz and highest MHz of the CPU that can go fastest."""
    known = [
        (highest, _text(folder / "scaling_governor"), _thousandths(folder / "scaling_cur_freq"))
        for folder in _frequency_folders(root)
        if (highest := _thousandths(folder / "cpuinfo_max_freq")) is not None
    ]
    if not known:
        return None, None, None
    highest, governor, now = max(known, key=lambda cpu: cpu[0])
    return governor, now, highest


def _frequency_folders(root: Path) -> Iterator[Path]:
    yield from sorted(root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq"))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:  # absent, or a sensor that is switched off
        return None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _thousandths(path: Path) -> float | None:
    value = _number(_text(path))
    return None if value is None else value / 1000


def _hexadecimal(text: str | None) -> int | None:
    try:
        return int(text, 16) if text else None
    except ValueError:
        return None
