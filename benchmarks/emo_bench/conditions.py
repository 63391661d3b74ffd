"""Under what conditions something was measured: a number without them cannot be compared."""

from __future__ import annotations

import dataclasses
import os
import platform
from datetime import datetime, timezone
from typing import Any

from emo_edge.backends import Backend
from emo_edge.board.sensors import board_model, cpu_model, read_board
from emo_edge.version import __version__

BUSY_LOAD_PER_CPU = 0.5


def conditions(backend: Backend) -> dict[str, Any]:
    """Return machine, load and versions, JSON-ready; what cannot be read is None."""
    cpus = os.cpu_count() or 1
    state = read_board()
    return {
        "utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "board": board_model(),
        "cpu": cpu_model(),
        "cpus": cpus,
        "machine": platform.machine(),
        "system": platform.platform(),
        "governor": state.governor,
        "megahertz": state.megahertz,
        "max_megahertz": state.max_megahertz,
        "load_per_cpu": round(os.getloadavg()[0] / cpus, 2),
        "celsius": state.celsius,
        "throttling": state.throttling and dataclasses.asdict(state.throttling),
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
