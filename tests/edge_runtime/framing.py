"""Frames and readings for the sinks' tests."""

from __future__ import annotations

from edge_runtime.drawn import scene
from emo_edge.contract import Box
from emo_edge.pipeline import Reading
from emo_edge.sources import Frame

PICTURE, _ = scene("happy")


def a_frame(index: int = 0, at: float = 0.0, name: str = "talk.mp4") -> Frame:
    return Frame(PICTURE, index, at, 100.0, name)


def a_reading(label: str = "happy", track: int = 1, at: float = 0.0) -> Reading:
    probabilities = {"happy": 0.81239, "sad": 0.18761}
    box = Box(10.04, 20.06, 30.0, 40.0, 9.9)
    return Reading(track, box, label, 0.81239, probabilities, at, at + 0.01234)
