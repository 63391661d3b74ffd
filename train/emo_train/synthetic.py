"""Drawn faces with five expressions, for the demo and the tests when no real data is at hand.

Every picture here is a parametric drawing: polygons for the features, a blurred map for the
shading, then light, noise and compression. The drawings are shaded so that OpenCV's frontal
Haar cascade accepts them, and the whole pipeline (detector, crop, classifier) can run on them.
Accuracy measured on these pictures says nothing about accuracy on real faces.

Geometry inside is in face units: the origin is the middle of the face, x runs right, y runs
down, and one unit (``scale`` pixels) is half the height from the top of the forehead to the chin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Points = NDArray[np.float64]
Colour = tuple[float, float, float]  # BGR, 0-255
Box = tuple[float, float, float, float]  # x, y, width, height in pixels; width == height

EXPRESSIONS: tuple[str, ...] = ("angry", "happy", "neutral", "sad", "surprised")
TIMELINE: tuple[tuple[str, float], ...] = (
    ("neutral", 2.0), ("happy", 3.0), ("surprised", 2.5), ("sad", 3.0), ("angry", 2.5),
)  # fmt: skip

# Measured: mean box of haarcascade_frontalface_default over 40 people, all expressions and poses;
# single boxes stray by 2 % of the side in place and 6 % in size (standard deviation).
BOX_CENTRE = (0.0, 0.09)
BOX_SIDE = 1.94
BOX_YAW_SHIFT = 0.1  # how far the box follows the features per unit of yaw
MORPH_SECONDS = 0.4

_SKIN: tuple[Colour, ...] = (
    (186, 208, 240), (164, 192, 230), (140, 172, 216), (118, 152, 202), (98, 130, 182),
    (82, 110, 160),
)  # fmt: skip
_HAIR: tuple[Colour, ...] = (
    (24, 24, 30), (32, 42, 62), (40, 62, 98), (62, 104, 150), (110, 160, 200), (128, 128, 134),
)  # fmt: skip
_IRIS: tuple[Colour, ...] = ((30, 48, 78), (40, 80, 112), (120, 96, 60), (78, 98, 70))


class _Shape(NamedTuple):
    """What an expression moves, in face units or as a share of the neutral size."""

    brow_raise: float
    brow_inner: float  # how far the inner end is above the outer one
    brow_pinch: float
    eye_open: float
    lid_low: float  # how far the lower lid is pushed up, share of the eye
    mouth_curve: float  # corners above the middle
    mouth_open: float
    mouth_width: float
    teeth: float
    folds: float  # nasolabial folds, 0-1
    frown: float  # lines between the brows, 0-1
    cheeks: float  # raised cheeks, 0-1


_SHAPES: dict[str, _Shape] = {
    "angry": _Shape(-0.07, -0.17, 0.05, 0.74, 0.25, -0.06, 0.06, 1.0, 1.0, 0.6, 1.0, 0.0),
    "happy": _Shape(0.02, 0.0, 0.0, 0.80, 0.45, 0.13, 0.13, 1.32, 1.0, 1.0, 0.0, 1.0),
    "neutral": _Shape(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.1, 0.0, 0.0),
    "sad": _Shape(0.01, 0.16, 0.04, 0.66, 0.0, -0.11, 0.0, 0.86, 0.0, 0.3, 0.35, 0.0),
    "surprised": _Shape(0.12, 0.02, -0.01, 1.4, -0.1, -0.01, 0.20, 0.66, 0.35, 0.0, 0.0, 0.0),
}
_TABLE: Points = np.array([_SHAPES[name] for name in EXPRESSIONS], np.float64)
_NEUTRAL: Points = np.array(_SHAPES["neutral"], np.float64)
# How much each number of a shape differs from picture to picture (standard deviation).
_SPREAD: Points = np.array(
    [0.022, 0.03, 0.01, 0.10, 0.06, 0.02, 0.012, 0.06, 0.15, 0.15, 0.10, 0.15]
)


@dataclass(frozen=True)
class Identity:
    """One drawn person: everything that stays the same from picture to picture.

    Colours are BGR, 0-255; lengths are in face units (see the module docstring).
    """

    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    shirt: Colour
    width: float  # half width of the head
    jaw: float  # 0 round, larger is narrower at the chin
    hair_length: float  # how far down the back hair reaches
    hair_volume: float
    hairline: float
    parting: float  # sideways, -1 to 1
    eye_gap: float  # from the middle to the pupil
    eye_y: float
    eye_width: float
    eye_height: float
    brow_lift: float  # from the pupil up to the brow
    brow_tilt: float
    brow_thickness: float
    nose_y: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lip_height: float
    mouth_rest: float  # curve of the mouth at rest
    glasses: bool
    beard: float  # 0 none, up to 0.6 full


def draw_identity(rng: np.random.Generator) -> Identity:
    """Draw a person at random; equal generator states give equal people."""

    def near(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def pick(colours: Sequence[Colour]) -> Colour:
        b, g, r = colours[int(rng.integers(len(colours)))]
        return (b + near(-8, 8), g + near(-8, 8), r + near(-8, 8))

    skin, hair = pick(_SKIN), pick(_HAIR)
    # Hair as light as the skin makes the detector's box grow over the whole head.
    hair = _tone(hair, min(1.0, 0.5 * sum(skin) / sum(hair)))
    return Identity(
        skin=skin,
        hair=hair,
        iris=pick(_IRIS),
        lips=_mix(_tone(skin, 0.78), (85, 70, 185), near(0.25, 0.6)),
        shirt=_mix((near(30, 210), near(30, 210), near(30, 210)), (110, 110, 110), 0.4),
        width=near(0.72, 0.80),
        jaw=near(0.12, 0.30),
        hair_length=float(rng.choice([0.1, 0.45, 1.05])),
        hair_volume=near(0.06, 0.14),
        hairline=near(-0.74, -0.60),
        parting=near(-0.8, 0.8),
        eye_gap=near(0.30, 0.35),
        eye_y=near(-0.12, -0.07),
        eye_width=near(0.145, 0.18),
        eye_height=near(0.062, 0.085),
        brow_lift=near(0.19, 0.235),
        brow_tilt=near(-0.04, 0.04),
        brow_thickness=near(0.028, 0.055),
        nose_y=near(0.26, 0.32),
        nose_width=near(0.12, 0.165),
        mouth_y=near(0.54, 0.60),
        mouth_width=near(0.25, 0.31),
        lip_height=near(0.045, 0.08),
        mouth_rest=near(-0.02, 0.02),
        glasses=bool(rng.random() < 0.2),
        beard=near(0.25, 0.6) if rng.random() < 0.25 else 0.0,
    )


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    """Go ``share`` of the way from colour a to colour b."""
    return (
        a[0] + (b[0] - a[0]) * share,
        a[1] + (b[1] - a[1]) * share,
        a[2] + (b[2] - a[2]) * share,
    )


def _tone(colour: Colour, factor: float) -> Colour:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


# About eighty small polygons make a face: what they share is computed once, for speed.
_ANGLE: Points = np.linspace(0, 2 * np.pi, 32, endpoint=False)
_CIRCLE: Points = np.stack([np.cos(_ANGLE), np.sin(_ANGLE)], 1)
_ALONG: Points = (1 - np.cos(np.linspace(0, np.pi, 17))[:, None]) / 2
_BOW: Points = 4 * _ALONG[:, 0] * (1 - _ALONG[:, 0])
_TURN: Points = np.linspace(0, 2 * np.pi, 48, endpoint=False)
_ROUND: Points = np.stack([np.sign(np.sin(_TURN)) * np.abs(np.sin(_TURN)) ** 0.85, -np.cos(_TURN)])
_DEPTH: Points = np.array([1 / 0.7, 1 / 1.3])


def _xy(x: float, y: float) -> Points:
    return np.array([x, y], np.float64)


def _ellipse(x: float, y: float, rx: float, ry: float) -> Points:
    return _CIRCLE * (rx, ry) + (x, y)


def _arc(left: Points, right: Points, bulge: float, roundness: float = 1.0) -> Points:
    """Curve from corner to corner, ``bulge`` down in the middle; roundness 0.5 is an ellipse."""
    line: Points = left + (right - left) * _ALONG
    line[:, 1] += bulge * _BOW**roundness
    return line


def _lens(upper: Points, lower: Points) -> Points:
    return np.concatenate([upper, lower[::-1]])


@cache
def _taper(count: int, start: float, end: float) -> Points:
    along = np.linspace(0, 1, count)
    return np.interp(along, (0, 0.3, 0.65, 1), (start, 1, 1, end))[:, None]


def _stroke(line: Points, thick: float, start: float = 0.2, end: float = 0.2) -> Points:
    """Outline a brush stroke that tapers to the given shares of its thickness."""
    step = np.empty_like(line)
    step[1:-1], step[0], step[-1] = line[2:] - line[:-2], line[1] - line[0], line[-1] - line[-2]
    normal = step[:, ::-1] * (-1, 1) / np.sqrt((step * step).sum(1, keepdims=True) + 1e-12)
    half = thick / 2 * _taper(len(line), start, end)
    return _lens(line + normal * half, line - normal * half)


class _Pen:
    """Paints polygons given in face units on a pixel canvas, turned, scaled and shifted."""

    def __init__(self, canvas: Image, origin: Points, axes: Points, yaw: float) -> None:
        self.canvas, self.origin, self.axes, self.yaw = canvas, origin, axes, yaw

    def pixels(self, points: Points) -> Points:
        # Turning the head moves what is near the middle and in front furthest.
        moved = points.copy()
        moved[:, 0] += self.yaw * np.maximum(1 - points * points @ _DEPTH, 0)
        return moved @ self.axes.T + self.origin

    def fill(self, points: Points, colour: Colour, alpha: float = 1.0) -> None:
        pixels = self.pixels(points)
        if alpha >= 1:
            _fill(self.canvas, pixels, colour)
            return
        window, offset = self.window(pixels)
        if window.size:
            painted = window.copy()
            _fill(painted, pixels - offset, colour)
            window[:] = cv2.addWeighted(painted, alpha, window, 1 - alpha, 0)

    def clip(self, outline: Points, layers: Sequence[tuple[Points, Colour]]) -> None:
        """Fill ``layers`` in order, but only inside ``outline``."""
        pixels = self.pixels(outline)
        window, offset = self.window(pixels)
        if window.size:
            painted, mask = window.copy(), np.zeros_like(window)
            for points, colour in layers:
                _fill(painted, self.pixels(points) - offset, colour)
            _fill(mask, pixels - offset, (255, 255, 255))
            share = mask.astype(np.float32) / 255
            window[:] = window + (painted.astype(np.float32) - window) * share + 0.5

    def window(self, pixels: Points) -> tuple[Image, Points]:
        """Cut out the part of the canvas that holds ``pixels``, and say where it begins."""
        height, width = self.canvas.shape[:2]
        (x0, y0), (x1, y1) = pixels.min(0) - 1, pixels.max(0) + 2
        left, top = max(int(x0), 0), max(int(y0), 0)
        right, bottom = min(max(int(x1), 0), width), min(max(int(y1), 0), height)
        return self.canvas[top:bottom, left:right], _xy(left, top)


def _fill(canvas: Image, pixels: Points, colour: Colour) -> None:
    # 4 fractional bits: without them small features jump by whole pixels between frames.
    cv2.fillPoly(canvas, [np.rint(pixels * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)


def draw_face(
    canvas: Image,
    identity: Identity,
    expression_weights: Mapping[str, float] | Points,
    center: tuple[float, float],
    scale: float,
    *,
    roll_degrees: float = 0.0,
    yaw: float = 0.0,
    deviation: Points | None = None,
) -> Box:
    """Draw a person's head and shoulders on a scene and say where the face is.

    canvas: uint8 [height, width, 3], BGR, changed in place; the head may reach past its edges.
    expression_weights: expression name -> weight, or float [5] in the order of EXPRESSIONS;
        what is missing to a sum of 1 counts as neutral, so {"sad": 0.5} is half sad.
    center: middle of the head in pixels. scale: half the height of the head in pixels.
    roll_degrees: positive turns the head clockwise. yaw: about -0.12 to 0.12, sideways turn.
    deviation: float [12], added to the numbers of the blended expression.

    Returns (x, y, side, side) in pixels: the square that OpenCV's frontal Haar cascade reports
    for such a face on average.
    """
    vector = _blend(expression_weights)
    if deviation is not None:
        vector = vector + deviation
    shape = _Shape(*vector.tolist())
    angle = np.deg2rad(roll_degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pen = _Pen(canvas, _xy(*center), turn * scale, yaw)
    _draw_head(pen, identity, shape)
    _shade(pen, identity, shape)
    for side in (-1, 1):
        _draw_eye(pen, identity, shape, side)
    _draw_nose(pen, identity, shape)
    _draw_mouth(pen, identity, shape)
    _draw_hair(pen, identity)
    if identity.glasses:
        _draw_glasses(pen, identity)
    x, y = turn @ _xy(BOX_CENTRE[0] + BOX_YAW_SHIFT * yaw, BOX_CENTRE[1]) * scale + center
    side_px = BOX_SIDE * scale
    return (float(x - side_px / 2), float(y - side_px / 2), side_px, side_px)


def _blend(weights: Mapping[str, float] | Points) -> Points:
    if isinstance(weights, Mapping):
        if unknown := set(weights) - set(EXPRESSIONS):
            raise ValueError(f"no such expression: {sorted(unknown)}; there are {EXPRESSIONS}")
        weights = np.array([weights.get(name, 0.0) for name in EXPRESSIONS])
    blended: Points = _NEUTRAL + weights @ (_TABLE - _NEUTRAL)
    return blended


def _outline(who: Identity, grow: float, drop: float) -> Points:
    """Go round the head clockwise from its top; ``drop`` lowers the jaw."""
    x, y = _ROUND
    low = np.maximum(y, 0)
    x = x * (who.width + grow) * (1 - who.jaw * low**2)
    return np.stack([x, y * (1 + grow) + drop * low**2], 1)


def _draw_head(pen: _Pen, who: Identity, shape: _Shape) -> None:
    skin, width = who.skin, who.width
    if who.hair_length > 0.2:
        reach = width + who.hair_volume
        fall = _arc(_xy(-reach, -0.24), _xy(reach, -0.24), who.hair_length + 0.24, 0.2)
        pen.fill(fall, _tone(who.hair, 0.8))
    pen.fill(_ellipse(0, 2.35, 1.5, 1.05), who.shirt)
    pen.fill(np.array([[-0.4, 0.5], [0.4, 0.5], [0.46, 1.42], [0, 1.6], [-0.46, 1.42]]),
             _tone(skin, 0.72))  # fmt: skip
    pen.fill(_outline(who, who.hair_volume, 0) * _xy(1, 0.8) - _xy(0, 0.24), who.hair)
    for side in (-1, 1):
        pen.fill(_ellipse(side * (width + 0.03), 0.02, 0.10, 0.19), _tone(skin, 0.85))
    pen.fill(_outline(who, 0, shape.mouth_open * 0.3), skin)


def _shade(pen: _Pen, who: Identity, shape: _Shape) -> None:
    """Multiply the face by a soft map of light and dark; 128 leaves a pixel as it is."""
    cells, per_unit = 96, 36.0
    middle = _xy(cells / 2, cells / 2)
    grid = np.full((cells, cells), 128, np.uint8)
    small = _Pen(grid, middle, np.eye(2) * per_unit, pen.yaw)
    drop = shape.mouth_open * 0.3
    small.fill(_outline(who, -0.02, drop), _level(0.86))
    small.fill(_outline(who, -0.13, drop), _level(1.0))
    small.fill(_ellipse(0, -0.48, 0.46, 0.2), _level(1.1))
    brow = who.eye_y - who.brow_lift * 0.35
    for side in (-1, 1):
        small.fill(_ellipse(side * who.eye_gap, brow, 0.25, 0.17), _level(0.7))
        small.fill(_ellipse(side * 0.17, who.nose_y - 0.12, 0.05, 0.16), _level(0.9))
        cheek = 0.24 - 0.05 * shape.cheeks
        small.fill(_ellipse(side * 0.4, cheek, 0.19, 0.15), _level(1.1 + 0.06 * shape.cheeks))
    small.fill(_ellipse(0, 0.02, 0.065, who.nose_y), _level(1.14))
    small.fill(_ellipse(0, who.nose_y + 0.09, 0.15, 0.035), _level(0.8))
    low = who.mouth_y + shape.mouth_open * 0.7
    small.fill(_ellipse(0, low + 0.14, 0.17, 0.04), _level(0.84))
    small.fill(_ellipse(0, low + 0.28, 0.15, 0.07), _level(1.08))
    small.fill(_beard(who, drop), _level(0.3), who.beard)
    grid = cv2.GaussianBlur(grid, (0, 0), 2.6).astype(np.uint8)
    _multiply(pen, grid, middle, per_unit)


def _beard(who: Identity, drop: float) -> Points:
    """Go from the sideburns round the jaw and back over the cheeks and the upper lip."""
    jaw = _outline(who, 0.02, drop)[12:37]
    cheeks = np.array([[-0.42, 0.38], [-0.2, 0.42], [0, 0.38], [0.2, 0.42], [0.42, 0.38]])
    return np.concatenate([jaw, cheeks])


def _level(factor: float) -> Colour:
    return (128 * factor, 0, 0)


def _multiply(pen: _Pen, grid: Image, middle: Points, per_unit: float) -> None:
    axes = pen.axes / per_unit
    reach = np.abs(axes).sum(1) * middle
    window, offset = pen.window(np.stack([pen.origin - reach, pen.origin + reach]))
    if window.size:
        matrix = np.column_stack([axes, pen.origin - axes @ middle - offset])
        shade = cv2.warpAffine(grid, matrix, window.shape[1::-1], borderValue=(128,))
        window[:] = cv2.multiply(window, cv2.merge([shade, shade, shade]), scale=1 / 128)


def _draw_eye(pen: _Pen, who: Identity, shape: _Shape, side: int) -> None:
    x, y, half = who.eye_gap * side, who.eye_y, who.eye_width
    tall = who.eye_height * max(shape.eye_open, 0.12)
    left, right = _xy(x - half, y + 0.012), _xy(x + half, y + 0.012)
    upper = _arc(left, right, -tall * 1.25, 0.8)
    lower = _arc(left, right, tall * 0.8 * (1 - shape.lid_low), 0.8)
    ball = max(who.eye_height * 1.12, 0.085)
    look = y - tall * 0.15
    pen.clip(_lens(upper, lower), [
        (_lens(upper, lower), (222, 228, 232)),
        (_ellipse(x, look, ball, ball), who.iris),
        (_ellipse(x, look, ball * 0.5, ball * 0.5), (14, 14, 16)),
        (_ellipse(x - 0.03, look - 0.03, 0.022, 0.022), (250, 250, 250)),
        (_stroke(upper + _xy(0, 0.012), 0.035), _tone(who.skin, 0.4)),
    ])  # fmt: skip
    pen.fill(_stroke(upper, 0.038, 0.5, 0.5), _tone(who.skin, 0.22))
    pen.fill(_stroke(lower, 0.016), _tone(who.skin, 0.45), 0.7)
    pen.fill(_stroke(upper - _xy(0, 0.045), 0.016), _tone(who.skin, 0.5), 0.6)
    if shape.cheeks > 0.1:  # the pouch under a smiling eye
        bag = _arc(left + _xy(0, 0.05), right + _xy(0, 0.05), tall * 0.7)
        pen.fill(_stroke(bag, 0.018), _tone(who.skin, 0.55), 0.5 * shape.cheeks)
    _draw_brow(pen, who, shape, side)


def _draw_brow(pen: _Pen, who: Identity, shape: _Shape, side: int) -> None:
    base = who.eye_y - who.brow_lift - shape.brow_raise
    tilt = shape.brow_inner + who.brow_tilt
    inner = _xy(side * (0.13 - shape.brow_pinch), base - tilt * 0.55)
    outer = _xy(side * (who.eye_gap + 0.2), base + 0.015 + tilt * 0.45)
    # Raised brows arch, lowered ones are straight.
    line = _arc(inner, outer, -0.055 - 0.2 * shape.brow_raise)
    pen.fill(_stroke(line, who.brow_thickness * 1.7, 0.8, 0.25), _tone(who.hair, 0.7), 0.92)
    if shape.frown > 0.1:
        x = side * (0.055 - shape.brow_pinch * 0.3)
        line = _arc(_xy(x, base - 0.09), _xy(x * 1.2, base + 0.10), 0)
        pen.fill(_stroke(line, 0.026), _tone(who.skin, 0.4), 0.75 * shape.frown)


def _draw_nose(pen: _Pen, who: Identity, shape: _Shape) -> None:
    y, half, dark = who.nose_y, who.nose_width, _tone(who.skin, 0.5)
    pen.fill(_ellipse(0, y - 0.02, half * 0.55, 0.07), _mix(who.skin, (255, 255, 255), 0.2), 0.35)
    for side in (-1, 1):
        wing = np.roll(_ellipse(half, y, 0.05, 0.07), 8, axis=0)[:17] * _xy(side, 1)
        pen.fill(_stroke(wing, 0.018), dark, 0.6)
        pen.fill(_ellipse(side * half * 0.5, y + 0.055, 0.04, 0.02), _tone(who.skin, 0.3), 0.85)
        if shape.folds > 0.05:
            corner = who.mouth_width * shape.mouth_width + 0.06
            start, end = _xy(half + 0.04, y - 0.02), _xy(corner, who.mouth_y - 0.06)
            line = _arc(start * (side, 1), end * (side, 1), 0)
            line[:, 0] += side * 0.05 * np.sin(np.linspace(0, np.pi, len(line)))
            pen.fill(_stroke(line, 0.028), dark, 0.75 * min(shape.folds, 1.0))


def _draw_mouth(pen: _Pen, who: Identity, shape: _Shape) -> None:
    half, bend = who.mouth_width * shape.mouth_width, shape.mouth_curve + who.mouth_rest
    gape = max(shape.mouth_open, 0.0)
    y = who.mouth_y - bend * 0.45 + gape * 0.25
    left, right = _xy(-half, y), _xy(half, y)
    # The rounder the mouth, the more its opening is an ellipse instead of a crescent.
    round_ = float(np.interp(shape.mouth_width, (0.66, 1.0), (0.5, 0.8)))
    top, bottom = bend * 1.2 - gape * 0.55, bend * 1.2 + gape
    upper, lower = _arc(left, right, top, round_), _arc(left, right, bottom, round_)
    lip = who.lip_height * (1 - 0.35 * min(gape / 0.15, 1))
    over = _arc(left, right, top - lip * 0.9, round_)
    over[:, 1] += lip * 0.35 * np.exp(-((over[:, 0] / (half * 0.18)) ** 2))
    pen.fill(_lens(over, upper), _tone(who.lips, 0.85))
    pen.fill(_lens(lower, _arc(left, right, bottom + lip * 1.25, round_)), who.lips)
    if gape > 0.012:
        rise = gape * max(shape.teeth, 0)
        pen.clip(_lens(upper, lower), [
            (_lens(upper, lower), (38, 26, 62)),
            (_ellipse(0, y + bottom, half * 0.6, gape * 0.45), (92, 84, 172)),
            (_lens(upper, upper + _xy(0, rise)), (226, 234, 238)),
        ])  # fmt: skip
    pen.fill(_stroke(upper, 0.024, 0.6, 0.6), _tone(who.lips, 0.35), 0.9)
    for side in (-1, 1):
        pen.fill(_ellipse(side * half, y, 0.025, 0.02), _tone(who.skin, 0.4), 0.8)


def _draw_hair(pen: _Pen, who: Identity) -> None:
    """Fill what is between the skull and a hairline with a parting."""
    edge = _outline(who, who.hair_volume, 0)
    skull = np.concatenate([edge[-13:], edge[:14]])
    part = _xy(who.parting * who.width * 0.5, who.hairline - 0.05)
    left, right = _xy(-who.width * 0.98, -0.12), _xy(who.width * 0.98, -0.12)
    line = np.concatenate([_arc(left, part, -0.22), _arc(part, right, -0.22)])
    pen.fill(_lens(skull, line), who.hair)
    shine = _arc(_xy(-0.4, -0.84), _xy(0.4, -0.84), -0.1)
    pen.fill(_stroke(shine, 0.07), _mix(who.hair, (255, 255, 255), 0.35), 0.4)


def _draw_glasses(pen: _Pen, who: Identity) -> None:
    y, frame = who.eye_y + 0.03, (40.0, 40.0, 44.0)
    for side in (-1, 1):
        ring = _ellipse(side * who.eye_gap, y, 0.235, 0.18)
        pen.fill(_stroke(np.concatenate([ring, ring[:1]]), 0.028, 1, 1), frame)
        arm = _arc(_xy(side * (who.eye_gap + 0.23), y), _xy(side * who.width, y - 0.04), 0)
        pen.fill(_stroke(arm, 0.03, 1, 1), frame)
    inner = who.eye_gap - 0.235
    pen.fill(_stroke(_arc(_xy(-inner, y), _xy(inner, y), -0.04), 0.028, 1, 1), frame)


def _background(rng: np.random.Generator, width: int, height: int) -> Image:
    """Make a soft wall: random colours at a few points, blended smoothly."""
    grey = rng.uniform(60, 180) + rng.normal(0, 18, (4, 5, 1))
    tint = rng.normal(0, 14, 3) + rng.normal(0, 6, (4, 5, 3))
    coarse = np.clip(grey + tint, 0, 255).astype(np.uint8)
    wall = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return wall.astype(np.uint8)


def face_crop(
    identity: Identity, expression: str, rng: np.random.Generator, size: int = 48
) -> Image:
    """Draw one picture of a person as a face detector would cut it.

    Pose, strength of the expression, light, background, sharpness, noise and compression vary
    with ``rng``. Returns uint8 [size, size, 3], BGR.
    """
    scale = float(rng.uniform(30, 56))  # faces of about 60 to 110 px, as in a camera picture
    edge = int(scale * 2.3)
    scene = _background(rng, edge, edge)
    center = (edge / 2 + float(rng.uniform(-2, 2)), edge / 2 + float(rng.uniform(-2, 2)))
    weights = {expression: float(rng.uniform(0.55, 1.15))}
    box = draw_face(
        scene, identity, weights, center, scale,
        roll_degrees=float(np.clip(rng.normal(0, 6), -12, 12)), yaw=float(rng.uniform(-0.12, 0.12)),
        deviation=rng.normal(0, 1, len(_SPREAD)) * _SPREAD,
    )  # fmt: skip
    seen = _camera(_cut(scene, box, rng), rng)
    return cv2.resize(seen, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _camera(scene: Image, rng: np.random.Generator) -> Image:
    """Do to a scene what light, lens, sensor and compression do."""
    height, width = scene.shape[:2]
    slope = rng.uniform(-0.35, 0.35, 2)
    light = (
        rng.uniform(0.65, 1.2)
        + slope[0] * np.linspace(-1, 1, width, dtype=np.float32)
        + slope[1] * np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    )
    picture = cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.4, 1.5)) * light[..., None]
    # Flat noise is ten times cheaper to draw than normal noise; scaling down makes it normal.
    noise = rng.integers(0, 256, picture.shape, np.uint8).astype(np.float32) - 127.5
    picture += noise * np.float32(rng.uniform(2, 9) / 74)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 96))]
    _, data = cv2.imencode(".jpg", np.clip(picture, 0, 255).astype(np.uint8), quality)
    return cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.uint8)


def _cut(scene: Image, box: Box, rng: np.random.Generator) -> Image:
    x, y, side, _ = box
    # As far as the detector's box was seen to stray.
    shift = rng.normal(0, 0.022, 2) * side
    grown = side * float(np.clip(rng.normal(1, 0.05), 0.88, 1.12))
    x0, y0 = np.rint(_xy(x, y) + shift + (side - grown) / 2).astype(int)
    rows = np.clip(np.arange(y0, y0 + round(grown)), 0, scene.shape[0] - 1)
    columns = np.clip(np.arange(x0, x0 + round(grown)), 0, scene.shape[1] - 1)
    patch: Image = scene[rows[:, None], columns]
    return patch


def write_dataset(
    out: Path,
    *,
    per_class: int = 240,
    identities: int = 12,
    test_identities: int = 4,
    size: int = 48,
    seed: int = 0,
    expressions: Sequence[str] = EXPRESSIONS,
    colour: bool = False,
) -> None:
    """Write out/train/<class>/*.png and out/test/<class>/*.png.

    ``per_class`` pictures of each class to train on and a quarter of that to test on. The people
    in the test part do not occur in the training part. Pictures are uint8 [size, size] grey, or
    BGR when ``colour``; equal arguments give equal files. Files of an earlier call with other
    arguments are not removed.
    """
    parts = (("train", identities, per_class), ("test", test_identities, max(per_class // 4, 1)))
    for part, (name, people, count) in enumerate(parts):
        rng = np.random.default_rng([seed, part])
        cast = [draw_identity(rng) for _ in range(people)]
        for expression in expressions:
            folder = Path(out) / name / expression
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                who = number % people
                crop = face_crop(cast[who], expression, rng, size)
                picture = crop if colour else cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
                _write_png(folder / f"person{who:02d}_{number:04d}.png", picture)


def _write_png(path: Path, picture: Any) -> None:
    if not cv2.imwrite(str(path), picture):
        raise OSError(f"could not write {path}")


def write_video(
    out: Path,
    *,
    timeline: Sequence[tuple[str, float]] = TIMELINE,
    size: tuple[int, int] = (640, 480),
    fps: int = 15,
    seed: int = 1,
) -> list[tuple[float, float, str]]:
    """Write an MP4 of one drawn person who goes through ``timeline``.

    timeline: (expression, seconds) in order; a change begins when its part begins and takes
    about 0.4 s. size: (width, height) in pixels. Returns the truth as (start second,
    end second, expression). The file appears under its name only when it is complete.
    """
    out = Path(out)
    ends = np.cumsum([seconds for _, seconds in timeline]).tolist()
    truth = [(end - part[1], end, part[0]) for part, end in zip(timeline, ends, strict=True)]
    partial = out.with_name(f".{out.stem}.partial.mp4")
    writer = cv2.VideoWriter(str(partial), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    if not writer.isOpened():
        raise OSError(f"could not open {partial} for writing")
    try:
        film = _Film(size, seed)
        for number in range(round(ends[-1] * fps)):
            writer.write(film.frame(number / fps, _weights_at(number / fps, truth))[0])
        writer.release()
        partial.replace(out)
    finally:
        writer.release()
        partial.unlink(missing_ok=True)
    return truth


def _weights_at(second: float, truth: Sequence[tuple[float, float, str]]) -> dict[str, float]:
    now = next(i for i, part in enumerate(truth) if second < part[1] or part is truth[-1])
    start, _, name = truth[now]
    t = min((second - start) / MORPH_SECONDS, 1.0)
    done = t * t * (3 - 2 * t) if now else 1.0
    weights = {truth[max(now - 1, 0)][2]: 1 - done}
    weights[name] = weights.get(name, 0.0) + done
    return weights


class _Film:
    """A person in front of a wall whose head moves slowly; the same for a seed."""

    def __init__(self, size: tuple[int, int], seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.size, self.rng = size, rng
        self.identity = draw_identity(rng)
        self.wall = _background(rng, *size)
        self.phase = rng.uniform(0, 2 * np.pi, 5)
        # One noise field, cut at a random place per frame, is far cheaper than new noise.
        grain = rng.normal(0, 3.5, (size[1] + 64, size[0] + 64, 3))
        self.grain = np.rint(grain).astype(np.int16)

    def frame(self, second: float, weights: Mapping[str, float]) -> tuple[Image, Box]:
        width, height = self.size
        x, y, near, roll, yaw = np.sin(second * np.array([0.7, 0.9, 0.5, 0.8, 0.6]) + self.phase)
        picture = self.wall.copy()
        box = draw_face(
            picture, self.identity, weights, (width * (0.5 + 0.08 * x), height * (0.47 + 0.03 * y)),
            height * (0.25 + 0.025 * near), roll_degrees=6.0 * roll, yaw=0.08 * yaw,
        )  # fmt: skip
        picture = cv2.GaussianBlur(picture, (0, 0), 1.0).astype(np.uint8)
        row, column = self.rng.integers(0, 64, 2)
        grain = self.grain[row : row + height, column : column + width]
        return cv2.add(picture, grain, dtype=cv2.CV_8U).astype(np.uint8), box
