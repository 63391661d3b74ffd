"""Readings drawn onto a picture: box, label, and a bar for each probability."""

from __future__ import annotations

from collections.abc import Sequence

import cv2

from emo_edge.contract import Image
from emo_edge.pipeline import Reading

INK, PAPER, ACCENT = (255, 255, 255), (32, 32, 32), (80, 190, 90)  # BGR
FONT = cv2.FONT_HERSHEY_SIMPLEX


def annotate(image: Image, readings: Sequence[Reading]) -> Image:
    """Return a copy of `image` uint8[H,W,3] BGR with its readings drawn on it."""
    canvas = image.copy()
    for reading in readings:
        _draw_box(canvas, reading)
        _draw_bars(canvas, reading)
    return canvas


def _draw_box(canvas: Image, reading: Reading) -> None:
    """Draw the box, and above it the label, no larger than suits the face."""
    x, y, w, h = (round(v) for v in reading.box[:4])
    scale = min(max(w / 260, 0.4), 1.0)
    thickness = max(1, round(2 * scale))
    cv2.rectangle(canvas, (x, y), (x + w, y + h), ACCENT, thickness, cv2.LINE_AA)
    text = f"{reading.label} {reading.confidence:.0%}"
    (width, height), base = cv2.getTextSize(text, FONT, scale, thickness)
    top = max(0, y - height - base - 4)
    cv2.rectangle(canvas, (x, top), (x + width + 6, top + height + base + 4), ACCENT, -1)
    origin = (x + 3, top + height + 2)
    cv2.putText(canvas, text, origin, FONT, scale, INK, thickness, cv2.LINE_AA)


def _draw_bars(canvas: Image, reading: Reading) -> None:
    """Draw the bars as high as the face, right of it, or left where there is no room."""
    box, probabilities = reading.box, reading.probabilities
    row = round(min(max(box.h / len(probabilities), 12), 28))
    scale, bar = row / 40, 3 * row
    names = [cv2.getTextSize(name, FONT, scale, 1)[0][0] for name in probabilities]
    width = max(names) + bar + 18
    left = round(box.x + box.w) + 4
    if left + width > canvas.shape[1]:
        left = max(0, round(box.x) - width - 4)
    top = max(0, round(box.y))
    panel = canvas[top : top + row * len(names) + 6, left : left + width]
    panel[:] = panel // 3 + PAPER[0] // 3
    for number, (name, probability) in enumerate(probabilities.items()):
        base = top + row * (number + 1) - row // 4
        colour = ACCENT if name == reading.label else INK
        cv2.putText(canvas, name, (left + 4, base), FONT, scale, colour, 1, cv2.LINE_AA)
        start = left + max(names) + 10
        end = start + max(1, round(bar * probability))
        cv2.rectangle(canvas, (start, base - row // 2), (end, base), colour, -1)
