"""Cameras, and whether this user may open them."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator

from emo_edge.doctor.finding import Finding, tried

GROUP = "video"


def examine() -> Iterator[Finding]:
    """Yield the findings about cameras."""
    yield tried("cameras", _cameras)
    denied = _denied()
    if denied:
        fix = "sudo usermod -aG video $USER, then log in again"
        yield Finding("problem", "permissions", f"may not open {', '.join(denied)}", fix)
    elif not _in_group():
        said = f"this user is not in the group {GROUP}, which owns cameras"
        yield Finding(
            "note", "permissions", said, "sudo usermod -aG video $USER, then log in again"
        )
    else:
        yield Finding("OK", "permissions", "cameras may be opened")


def _cameras() -> Finding:
    from emo_edge.sources import cameras
    from emo_edge.sources.listing import other_nodes

    found = ", ".join(f"{camera.name} ({camera.title})" for camera in cameras())
    rest = [str(node.path) for node in other_nodes()]
    said = f"; without pictures: {', '.join(rest)}" if rest else ""
    if found:
        return Finding("OK", "cameras", found + said)
    fix = "plug one in; for a CSI camera: sudo apt install rpicam-apps-lite"
    return Finding("note", "cameras", f"none found{said}", fix)


def _denied() -> list[str]:
    from emo_edge.sources.v4l2 import node_paths

    return [str(path) for path in node_paths() if not os.access(path, os.R_OK | os.W_OK)]


def _in_group() -> bool:
    if os.geteuid() == 0:
        return True
    try:
        return grp.getgrnam(GROUP).gr_gid in os.getgroups()
    except KeyError:  # another distribution has another name for it
        return True
