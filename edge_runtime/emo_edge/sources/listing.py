"""Which cameras this machine has, in the notation of `--camera`."""

from __future__ import annotations

from dataclasses import dataclass

from emo_edge.sources import v4l2
from emo_edge.sources.picamera import picameras
from emo_edge.sources.rpicam import rpicams


@dataclass(frozen=True)
class Found:
    """One camera.

    Attributes:
        name: What `--camera` takes.
        title: Which camera it is.
        details: What it gives: a line for each pixel format.
    """

    name: str
    title: str
    details: tuple[str, ...] = ()


def cameras() -> list[Found]:
    """Return the cameras that can be opened; one that has several names is there several times."""
    found = []
    for node in v4l2.nodes():
        if node.captures:
            try:
                given = v4l2.formats(node.path)
            except OSError:  # unplugged this moment
                continue
            details = tuple(f"{code} {', '.join(sizes)}".strip() for code, sizes in given.items())
            title = f"{node.card} ({node.driver}, {node.bus}, {node.path})"
            found.append(Found(node.path.name[5:], title, details))
    found += [Found(f"rpicam:{number}", title) for number, title in rpicams()]
    found += [Found(f"picamera2:{number}", model) for number, model in enumerate(picameras())]
    return found


def other_nodes() -> list[v4l2.Node]:
    """Return the nodes that give no pictures: metadata, codecs, the raw side of CSI cameras."""
    return [node for node in v4l2.nodes() if not node.captures]
