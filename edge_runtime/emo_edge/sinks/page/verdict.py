"""Whether a run is well, in words."""

from __future__ import annotations

from typing import Any

# The loop turns every second, or as soon as a frame is done: longer than a slow model on a slow
# board takes for one, shorter than anyone's patience.
STUCK_SECONDS = 10.0


def problems(snapshot: dict[str, Any]) -> list[str]:
    """Return why a run does not do its work, by its `Health.snapshot()`; empty if it does."""
    source, silent = snapshot["source"], snapshot["seconds_since_beat"]
    if silent > STUCK_SECONDS:
        return [f"stuck: the loop has not turned for {silent:.0f} s"]
    name, lasted = source["name"], source["seconds_in_state"]
    if source["state"] == "lost":
        why = f" ({source['error']})" if source["error"] else ""
        return [f"camera lost: {name} has been away for {lasted:.0f} s{why}"]
    if source["state"] == "opening":
        return [f"starting: no frame of {name} yet"]
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
