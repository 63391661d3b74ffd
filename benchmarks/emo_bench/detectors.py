"""What face detectors find, on pictures with boxes that people drew, and on videos.

A box counts as a face found if its intersection over union with a human box reaches a threshold,
0.5 by default, as in PASCAL VOC (Everingham et al. 2010) and FDDB (Jain & Learned-Miller 2010);
pairs are taken best overlap first, each box once. Every other box is a false positive. A video has
no human boxes: following faces is held against searching every frame.

Costs are CPU milliseconds of the whole process: a busy machine does not change them much.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from emo_bench.detector_names import real_name
from emo_bench.statistics import describe
from emo_edge.artifacts import as_text
from emo_edge.contract import Box, Image, read_image
from emo_edge.detectors import Detector, make_detector
from emo_edge.detectors.following import Following
from emo_edge.errors import DataError, SourceError, UsageError
from emo_edge.metrics import wilson_interval
from emo_edge.sources import open_source
from emo_edge.tracking import iou, match_boxes

T = TypeVar("T")

IOU = 0.5
TIMED_SECONDS = 0.2  # of every picture, at least one search


def require_there(pictures: Iterable[Path], videos: Iterable[Path]) -> None:
    """Refuse a file that is missing: now, rather than after all the others were measured.

    Raises `DataError` for a picture, `SourceError` for a video.
    """
    for path in pictures:
        if not path.is_file():
            raise DataError(f"no picture {path}")
    for path in videos:
        if not path.is_file():
            raise SourceError(f"no video {path}")


def measure(
    name: str,
    boxes: Mapping[Path, Sequence[Box]],
    without_faces: Sequence[Path],
    videos: Sequence[Path],
    threshold: float = IOU,
) -> dict[str, Any]:
    """Return what one detector finds and costs.

    Args:
        name: Of the detector.
        boxes: Picture -> all its faces.
        without_faces: Pictures in which everything found is wrong.
        videos: Read once searching every frame and once following faces.
        threshold: Least intersection over union of a box and a face.
    """
    name = real_name(name)
    return {
        "detector": name,
        "iou": threshold,
        "pictures": _on_pictures(make_detector(name), boxes, without_faces, threshold),
        "videos": [_on_video(name, video, threshold) for video in videos],
    }


def _on_pictures(
    detect: Detector,
    boxes: Mapping[Path, Sequence[Box]],
    without_faces: Sequence[Path],
    threshold: float,
) -> dict[str, Any]:
    overlaps: list[float] = []
    costs: list[float] = []
    faces = wrong = phantoms = 0
    detect(read_image(next(iter(boxes))))  # the first search is dearer than the others
    for path, there in boxes.items():
        found, cost = _timed_search(detect, read_image(path))
        matched = match_boxes(there, found, threshold)
        overlaps += [iou(there[face], found[index]) for index, face in matched.items()]
        faces, wrong = faces + len(there), wrong + len(found) - len(matched)
        costs.append(cost)
    for path in without_faces:
        found, cost = _timed_search(detect, read_image(path))
        phantoms += len(found)
        costs.append(cost)
    return {
        "pictures": len(boxes),
        "faces": faces,
        "found": len(overlaps),
        "recall": round(len(overlaps) / faces, 4),
        "recall_interval": wilson_interval(len(overlaps), faces),
        "median_iou": round(float(np.median(overlaps)), 3) if overlaps else None,
        "false_positives": wrong,
        "pictures_without_faces": len(without_faces),
        "false_positives_without_faces": phantoms,
        "cpu_ms": describe(np.array(costs)),
        "cpu_ms_per_face_found": round(sum(costs) / len(overlaps), 3) if overlaps else None,
    }


def _timed_search(detect: Detector, image: Image) -> tuple[Sequence[Box], float]:
    """Return the boxes, and the median CPU milliseconds of one search."""
    costs, began = [], time.monotonic()
    while True:
        found, cost = _timed(lambda: detect(image))
        costs.append(cost)
        if time.monotonic() - began > TIMED_SECONDS:
            return found, float(np.median(costs))


def _on_video(name: str, video: Path, threshold: float) -> dict[str, Any]:
    search, follow = make_detector(name), Following(make_detector(name))
    searched = list(_watch(video, lambda image, at: search(image)))  # noqa: ARG005
    followed = list(_watch(video, follow))
    there = kept = 0
    for (full, _), (cheap, _) in zip(searched, followed, strict=True):
        there, kept = there + len(full), kept + len(match_boxes(full, cheap, threshold))
    return {
        "video": as_text(video.name),
        "frames": len(searched),
        "searched": _summary(searched),
        "followed": _summary(followed),
        "followed_of_searched": round(kept / there, 4) if there else None,
    }


def _watch(
    video: Path, detect: Callable[[Image, float], Sequence[Box]]
) -> Iterator[tuple[Sequence[Box], float]]:
    """Yield the boxes of every frame and the CPU milliseconds that they cost."""
    with open_source(str(video)) as source:
        if source.kind != "video":
            raise UsageError(f"{video} is no video file")
        for frame in source.frames:
            assert frame is not None  # only live sources pause
            image, at = frame.image, frame.captured_at
            yield _timed(lambda image=image, at=at: detect(image, at))  # type: ignore[misc]


def _summary(frames: Iterable[tuple[Sequence[Box], float]]) -> dict[str, Any]:
    found, costs = zip(*frames, strict=True)
    faces = sum(map(len, found))
    return {
        "frames_with_face": round(sum(bool(boxes) for boxes in found) / len(found), 4),
        "cpu_ms": describe(np.array(costs)),
        "mean_cpu_ms": round(float(np.mean(costs)), 3),
        "cpu_ms_per_face_found": round(sum(costs) / faces, 3) if faces else None,
    }


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    result = work()
    return result, 1000 * (time.process_time() - began)
