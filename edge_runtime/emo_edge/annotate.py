"""Readings drawn onto a picture: box, label, and a bar for each probability."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

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


@lru_cache(maxsize=8)
def drawable(labels: tuple[str, ...]) -> dict[str, str]:
    """Return {label: how a picture shows it}: OpenCV draws ASCII alone.

    Accents are left out; a label of other signs is shown by its number, from 1: "label 3".
    """
    names = {}
    for number, label in enumerate(labels, 1):
        if label.isascii() and label.isprintable():
            names[label] = label
            continue
        signs = [s for s in unicodedata.normalize("NFKD", label) if not unicodedata.combining(s)]
        plain = "".join(signs)
        if not (plain.isascii() and plain.isprintable()) or plain in labels:
            plain = f"label {number}"
        names[label] = plain
    return names


def _draw_box(canvas: Image, reading: Reading) -> None:
    """Draw the box, and above it the label, no larger than suits the face."""
    x, y, w, h = (round(v) for v in reading.box[:4])
    scale = min(max(w / 260, 0.4), 1.0)
    thickness = max(1, round(2 * scale))
    cv2.rectangle(canvas, (x, y), (x + w, y + h), ACCENT, thickness, cv2.LINE_AA)
    names = drawable(tuple(reading.probabilities))
    text = f"{names.get(reading.label, reading.label)} {reading.confidence:.0%}"
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
    names = drawable(tuple(probabilities))
    widest = max(cv2.getTextSize(name, FONT, scale, 1)[0][0] for name in names.values())
    width = widest + bar + 18
    left = round(box.x + box.w) + 4
    if left + width > canvas.shape[1]:
        left = max(0, round(box.x) - width - 4)
    top = max(0, round(box.y))
    panel = canvas[top : top + row * len(names) + 6, left : left + width]
    panel[:] = panel // 3 + PAPER[0] // 3
    for number, (label, probability) in enumerate(probabilities.items()):
        base = top + row * (number + 1) - row // 4
        colour, origin = ACCENT if label == reading.label else INK, (left + 4, base)
        cv2.putText(canvas, names[label], origin, FONT, scale, colour, 1, cv2.LINE_AA)
        start = left + widest + 10
        end = start + max(1, round(bar * probability))
        cv2.rectangle(canvas, (start, base - row // 2), (end, base), colour, -1)
