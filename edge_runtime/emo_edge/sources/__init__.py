"""The camera socket: everything that yields frames, opened by one text."""

from emo_edge.sources.frame import Frame, Source
from emo_edge.sources.listing import cameras
from emo_edge.sources.opening import is_camera, open_source, reads
from emo_edge.sources.settings import Asked
from emo_edge.sources.stills import PICTURES, UNMEANT, pictures_below

__all__ = [
    "PICTURES",
    "UNMEANT",
    "Asked",
    "Frame",
    "Source",
    "cameras",
    "is_camera",
    "open_source",
    "pictures_below",
    "reads",
]
