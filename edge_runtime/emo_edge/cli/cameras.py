"""`emo-edge cameras`."""

from __future__ import annotations

from emo_edge.commands import guarded
from emo_edge.messages import say


@guarded
def cameras() -> None:
    """List the cameras of this machine, by the names that --camera takes."""
    from emo_edge.sources.listing import cameras as found_cameras
    from emo_edge.sources.listing import other_nodes

    found = found_cameras()
    for camera in found:
        print(f"{camera.name:<12} {camera.title}")
        for detail in camera.details:
            print(f"{'':<14} {detail}")
    for node in other_nodes():
        say(f"{node.path}: {node.card} ({node.driver}) gives no pictures")
    if not found:
        say("no camera found; a stream is named by its URL, a CSI camera needs rpicam-apps-lite")
