"""The doors of the device."""

from __future__ import annotations

import emo_edge  # noqa: F401  # sets OpenCV's limits, which that reads once

import cv2  # isort: skip

cv2.setNumThreads(1)  # before any use: a forked process would wait for the threads of its parent

from fuzz.doors import (  # noqa: E402
    configurations,
    detectors,
    memories,
    metadata,
    mjpeg,
    models,
    pictures,
    requests,
    streams,
    videos,
)

DOORS = {
    door.name: door
    for door in (
        models.DOOR,
        metadata.DOOR,
        pictures.DOOR,
        mjpeg.DOOR,
        streams.DOOR,
        videos.DOOR,
        requests.DOOR,
        configurations.DOOR,
        memories.DOOR,
        detectors.DOOR,
    )
}
