"""Under what conditions something was measured: a number without them cannot be compared."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from emo_edge.backends import BACKENDS
from emo_edge.board.sensors import ROOT, board_model, cpu_model, read_board
from emo_edge.version import __version__

Conditions = dict[str, Any]

BUSY_LOAD_PER_CPU = 0.5
OTHERS_SHARE = 0.1  # of the machine's CPU time
STOLEN_SHARE = 0.02
SLOWED_CLOCK = 0.95
LEAST_CPU_SECONDS = 0.5  # the kernel counts in hundredths of a second
HOT_CELSIUS = 80.0  # where a Raspberry Pi begins to slow down
LIBRARIES = ("numpy", "opencv-python-headless", "keras")
TICKS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def conditions(root: Path = ROOT) -> Conditions:
    """Return the machine, its state and the versions, JSON-ready; what cannot be read is None.

    `counters` only grow: two of them say how the CPU time between was shared, in seconds: `busy`
    of the whole machine, `own` of this process and its finished children, `stolen` by the host of
    a virtual machine. `wall` is the monotonic clock.
    """
    cpus = os.cpu_count() or 1
    state = read_board(root)
    return {
        "utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "board": board_model(root),
        "cpu": cpu_model(root),
        "cpus": cpus,
        "usable_cpus": _usable_cpus(cpus),
        "machine": platform.machine(),
        "system": platform.platform(),
        "governor": state.governor,
        "megahertz": state.megahertz,
        "max_megahertz": state.max_megahertz,
        "celsius": state.celsius,
        "throttling": state.throttling and dataclasses.asdict(state.throttling),
        "load_per_cpu": None if state.load is None else round(state.load / cpus, 2),
        "counters": _counters(root),
        "versions": _versions(),
    }


def same_machine(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two conditions are of machines whose times can be compared."""
    return all(a[name] == b[name] for name in ("board", "cpu", "cpus", "machine"))


def machine_name(state: Mapping[str, Any]) -> str:
    """Return the machine in a few words, e.g. "Raspberry Pi 4 Model B, aarch64, 4 CPUs"."""
    known = dict.fromkeys(text for text in (state["board"], state["cpu"]) if text)
    return ", ".join((*known, state["machine"], f"{state['cpus']} CPUs"))


def machine_warnings(before: Conditions, after: Conditions) -> list[str]:
    """Return why what was measured between the two is not to be trusted; in the spirit of pyperf.

    The load average before counts, because afterwards it is the benchmark's own; what others did
    meanwhile is told by the counters.
    """
    found = []
    load, hertz, highest = before["load_per_cpu"], after["megahertz"], after["max_megahertz"]
    if load is not None and load > BUSY_LOAD_PER_CPU:
        found.append(f"the machine was busy already (load {load} per CPU)")
    others, stolen = _shares_of_others(before["counters"], after["counters"], after["cpus"])
    if others > OTHERS_SHARE:
        found.append(f"other processes took {others:.0%} of the CPU time meanwhile")
    if stolen > STOLEN_SHARE:
        found.append(f"the host took {stolen:.0%} of this virtual machine's CPU time")
    if after["governor"] not in (None, "performance"):
        found.append(f"the CPU governor is {after['governor']}: frequencies vary")
    if hertz is not None and hertz < SLOWED_CLOCK * highest:
        found.append(f"the CPU ran at {hertz:.0f} of {highest:.0f} MHz")
    if after["celsius"] is not None and after["celsius"] >= HOT_CELSIUS:
        found.append(f"the CPU is {after['celsius']:.0f} C hot")
    flags = sorted({*_slowing(before), *_slowing(after)})
    if flags:
        found.append(f"the firmware reports: {', '.join(flags)}")
    return found


def _slowing(state: Conditions) -> list[str]:
    throttling = state["throttling"] or {}
    since_boot = (f"{flag} since boot" for flag in throttling.get("since_boot", ()))
    return [*throttling.get("now", ()), *since_boot]


def _shares_of_others(
    first: Mapping[str, Any], last: Mapping[str, Any], cpus: int
) -> tuple[float, float]:
    """Return the shares of the CPU time that other processes and the host of a VM took."""
    capacity = (last["wall"] - first["wall"]) * cpus
    if last["busy"] is None or capacity < LEAST_CPU_SECONDS:
        return 0.0, 0.0
    spent = {name: last[name] - first[name] for name in ("own", "busy", "stolen")}
    return max(0.0, spent["busy"] - spent["own"]) / capacity, spent["stolen"] / capacity


def _counters(root: Path) -> dict[str, float | None]:
    ticks, second = _ticks(root), os.sysconf("SC_CLK_TCK")
    working = ("user", "nice", "system", "irq", "softirq")
    return {
        "wall": round(time.monotonic(), 3),
        "own": round(sum(os.times()[:4]), 2),
        "busy": round(sum(ticks[name] for name in working) / second, 2) if ticks else None,
        "stolen": round(ticks["steal"] / second, 2) if ticks else None,
    }


def _ticks(root: Path) -> dict[str, int]:
    try:
        first = (root / "proc/stat").read_text(encoding="utf-8").splitlines()[0].split()
        return dict(zip(TICKS, map(int, first[1:9]), strict=True))
    except (OSError, ValueError, IndexError):
        return {}


def _usable_cpus(cpus: int) -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cpus


def _versions() -> dict[str, str]:
    found = {"emo-toolkit": __version__, "python": platform.python_version()}
    for name in (*LIBRARIES, *(backend.distribution for backend in BACKENDS.values())):
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
