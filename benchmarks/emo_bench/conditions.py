"""Under what conditions something was measured: a number without them cannot be compared."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from emo_edge.backends import Backend
from emo_edge.version import __version__

BUSY_LOAD_PER_CPU = 0.5


def conditions(backend: Backend) -> dict[str, Any]:
    """Return machine, load and versions, JSON-ready; what cannot be read is None."""
    cpus = os.cpu_count() or 1
    return {
        "utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "board": _read("/proc/device-tree/model"),
        "cpu": _cpu_model(),
        "cpus": cpus,
        "machine": platform.machine(),
        "system": platform.platform(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "load_per_cpu": round(os.getloadavg()[0] / cpus, 2),
        "celsius": _celsius(),
        "python": platform.python_version(),
        "runtime": backend.version,
        "emo-toolkit": __version__,
    }


def warnings(state: dict[str, Any], spread: float) -> list[str]:
    """Return why a latency is not to be trusted.

    Args:
        state: From `conditions`.
        spread: p90 / median of the measured latencies.
    """
    found = []
    if state["load_per_cpu"] > BUSY_LOAD_PER_CPU:
        found.append(f"the machine is busy (load {state['load_per_cpu']} per CPU)")
    if state["governor"] not in (None, "performance"):
        found.append(f"the CPU governor is {state['governor']}: frequencies vary")
    if spread > 1.5:
        found.append(f"p90 is {spread:.1f} times the median: the numbers are unstable")
    return found


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _cpu_model() -> str | None:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor() or None


def _celsius() -> float | None:
    milli = _read("/sys/class/thermal/thermal_zone0/temp")
    return int(milli) / 1000 if milli and milli.lstrip("-").isdigit() else None
