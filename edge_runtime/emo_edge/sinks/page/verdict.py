"""Whether a run is well, in words."""

from __future__ import annotations

from typing import Any

# Longer than a slow model on a slow board takes for a frame, shorter than anyone's patience.
STALE_SECONDS = 10.0


def problems(snapshot: dict[str, Any], idle_seconds: float) -> list[str]:
    """Return why the run does not do its work; empty if it does.

    Args:
        snapshot: `Health.snapshot()`.
        idle_seconds: How long ago the loop finished its newest frame.
    """
    source = snapshot["source"]
    name, lasted = source["name"], source["seconds_in_state"]
    if source["state"] == "lost":
        why = f" ({source['error']})" if source["error"] else ""
        return [f"camera lost: {name} has been away for {lasted:.0f} s{why}"]
    if source["state"] == "opening":
        return [f"starting: no frame of {name} yet"]
    if idle_seconds > STALE_SECONDS:
        return [f"stuck: no frame was analysed for {idle_seconds:.0f} s"]
    return []


def warnings(snapshot: dict[str, Any]) -> list[str]:
    """Return what is amiss while the run does its work: source, outputs, board."""
    source = snapshot["source"]
    suspicious = source["error"] and source["state"] == "delivering"
    found = [f"{source['name']}: {source['error']}"] if suspicious else []
    found += [
        f"{name} is failing: {sink['error']}"
        for name, sink in snapshot["sinks"].items()
        if sink["state"] != "ok"
    ]
    board = snapshot["board"] or {}
    return found + [f"board: {flag}" for flag in board.get("throttled") or ()]
