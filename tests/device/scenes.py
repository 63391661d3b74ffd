"""What the emulated webcam shows: a second of a drawn person, and what it must not show."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from emo_train.synthetic import write_video

FRAMES = 15


def draw_scene(folder: Path) -> None:
    """Draw 00.jpg and so on (640x480), small.jpeg (320x240) and raw.yuyv into a new folder."""
    folder.mkdir(parents=True)
    video = folder / "drawn.mp4"
    write_video(video, timeline=(("happy", 1.0),), fps=FRAMES)
    capture = cv2.VideoCapture(str(video))
    image = np.zeros((480, 640, 3), np.uint8)
    for number in range(FRAMES):
        _, image = capture.read()
        cv2.imwrite(str(folder / f"{number:02d}.jpg"), image)
    capture.release()
    video.unlink()
    _, small = cv2.imencode(".jpg", cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA))
    (folder / "small.jpeg").write_bytes(small.tobytes())
    (folder / "raw.yuyv").write_bytes(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_YUYV).tobytes())
