"""The face-detector socket: `Callable[[image], Sequence[Box]]`, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from emo_edge.contract import Box, Image
from emo_edge.detectors.fetch import yunet_fetched
from emo_edge.detectors.haar import haar
from emo_edge.detectors.yunet import opencv_is_new_enough, yunet
from emo_edge.errors import UsageError
from emo_edge.messages import say
from emo_edge.smallest import SMALLEST_FACE

Detector = Callable[[Image], Sequence[Box]]


def auto(smallest: float = SMALLEST_FACE) -> Detector:
    """Return YuNet if it was fetched, else Haar, saying which on stderr."""
    best = best_detector()
    fetched = yunet_fetched()  # but this OpenCV is too old for it
    hint = "" if fetched else "; for a better one run: emo-edge fetch-detector"
    say(f"face detector: {best}{hint}")
    return make_detector(best, smallest)


def best_detector() -> str:
    """Return the name of the best detector that this machine has."""
    return usable_detectors()[0]


def usable_detectors() -> tuple[str, ...]:
    """Return the names of the detectors that this machine has, the best one first."""
    return ("yunet", "haar") if yunet_fetched() and opencv_is_new_enough() else ("haar",)


def whole_picture(smallest: float = SMALLEST_FACE) -> Detector:  # noqa: ARG001 (all are made alike)
    """Return a detector that takes every picture for one face (for folders of face crops)."""

    def detect(image: Image) -> list[Box]:
        height, width = image.shape[:2]
        return [Box(0.0, 0.0, float(width), float(height))]

    return detect


DETECTORS: dict[str, Callable[[float], Detector]] = {
    "auto": auto,
    "yunet": yunet,
    "haar": haar,
    "none": whole_picture,
}


def make_detector(name: str, smallest: float = SMALLEST_FACE) -> Detector:
    """Return the named detector; raises `UsageError` listing the names there are.

    Args:
        name: One of `DETECTORS`.
        smallest: Width of the smallest face to find, as a fraction of the picture's longer side.
    """
    if name not in DETECTORS:
        raise UsageError(f"unknown detector {name!r}; choose from {', '.join(DETECTORS)}")
    return DETECTORS[name](smallest)
