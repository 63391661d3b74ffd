"""The device's side of emo-toolkit: the contract, the one-file model and the live loop.

Public names are imported on first use, so that `emo-edge --help` need not load OpenCV.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from emo_edge.version import __version__

# OpenCV reads it once, when it is loaded: larger pictures are refused by their header. A board with
# 512 MB can hold one of 64 million pixels, OpenCV's own limit is 16 times that.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 26))

if TYPE_CHECKING:
    from emo_edge.api import stream
    from emo_edge.classifier import Classifier
    from emo_edge.contract import Box, prepare, read_image
    from emo_edge.detectors import make_detector
    from emo_edge.errors import EmoError
    from emo_edge.pipeline import Reading, readings
    from emo_edge.sources import Frame, open_source
    from emo_edge.spec import ModelSpec

__all__ = [
    "Box",
    "Classifier",
    "EmoError",
    "Frame",
    "ModelSpec",
    "Reading",
    "__version__",
    "make_detector",
    "open_source",
    "prepare",
    "read_image",
    "readings",
    "stream",
]

# No name here may be that of a module: importing the module would replace it.
_HOMES = {
    "Box": "contract",
    "Classifier": "classifier",
    "EmoError": "errors",
    "Frame": "sources",
    "ModelSpec": "spec",
    "Reading": "pipeline",
    "make_detector": "detectors",
    "open_source": "sources",
    "prepare": "contract",
    "read_image": "contract",
    "readings": "pipeline",
    "stream": "api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'emo_edge' has no attribute {name!r}")
    return getattr(import_module(f"emo_edge.{_HOMES[name]}"), name)
