"""What a camera does to faces, at moderate strength: for `emo-bench accuracy --robustness`.

Applied to prepared faces, in their own size, so that models of any input size meet the same
corruption. Blur, noise and JPEG have the third of the five strengths of CIFAR-10-C (Hendrycks &
Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations"),
whose pictures are 32 x 32. Directions are drawn from a fixed seed: every model meets the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from emo_edge.contract import Image

SHARE = 0.1  # of the face's side
DEGREES = 15.0
BLUR_SHARE = 0.7 / 32  # standard deviation over the face's side: 1.05 pixels of 48
GAIN = 0.4
NOISE = 0.08 * 255
QUALITY = 58
SEED = 0

Corruption = Callable[[Image, np.random.Generator], Image]


def shifted(face: Image, rng: np.random.Generator) -> Image:
    """Move the crop by a tenth of its side in any direction."""
    angle = rng.uniform(0, 2 * math.pi)
    side = SHARE * face.shape[0]
    return _warped(face, np.eye(2), (side * math.cos(angle), side * math.sin(angle)))


def scaled(face: Image, rng: np.random.Generator) -> Image:
    """Make the crop a tenth larger or smaller."""
    factor = 1 + SHARE if rng.random() < 0.5 else 1 / (1 + SHARE)
    return _warped(face, np.eye(2) * factor, (0.0, 0.0))


def rotated(face: Image, rng: np.random.Generator) -> Image:
    """Turn the face by 15 degrees to either side."""
    angle = math.radians(DEGREES) * (1 if rng.random() < 0.5 else -1)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return _warped(face, turn, (0.0, 0.0))


def blurred(face: Image, _: np.random.Generator) -> Image:
    """Blur with a Gaussian of a forty-sixth of the side."""
    sigma = BLUR_SHARE * face.shape[0]
    return _as_face(cv2.GaussianBlur(face, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), face)


def low_light(face: Image, _: np.random.Generator) -> Image:
    """Keep 40 % of the light."""
    return np.asarray(np.round(face * GAIN), np.uint8)


def noisy(face: Image, rng: np.random.Generator) -> Image:
    """Add Gaussian noise with a standard deviation of 8 % of white."""
    return np.asarray(np.clip(np.round(face + rng.normal(0, NOISE, face.shape)), 0, 255), np.uint8)


def jpeg(face: Image, _: np.random.Generator) -> Image:
    """Compress as JPEG at quality 58."""
    encoded = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    flag = cv2.IMREAD_GRAYSCALE if face.shape[2] == 1 else cv2.IMREAD_COLOR
    return _as_face(cv2.imdecode(encoded, flag), face)


CORRUPTIONS: dict[str, Corruption] = {
    "shifted 10 %": shifted,
    "scaled 10 %": scaled,
    "rotated 15 degrees": rotated,
    "blurred": blurred,
    "low light": low_light,
    "noise": noisy,
    "JPEG": jpeg,
}


def corrupted(pixels: Image, corruption: Corruption) -> Image:
    """Return faces uint8[N,H,W,C], each corrupted by draws of its own."""
    seeds = np.random.SeedSequence(SEED).spawn(len(pixels))
    return np.stack(
        [
            corruption(face, np.random.default_rng(seed))
            for face, seed in zip(pixels, seeds, strict=True)
        ]
    )


def _warped(face: Image, matrix: NDArray[np.float64], shift: tuple[float, float]) -> Image:
    """Apply a linear map about the middle of the face, then a shift in pixels; edges repeat."""
    height, width = face.shape[:2]
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    offset = middle - matrix @ middle + shift
    affine = np.column_stack([matrix, offset])
    warped = cv2.warpAffine(
        face, affine, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return _as_face(warped, face)


def _as_face(image: object, face: Image) -> Image:
    """Give back the channel that OpenCV drops from grey pictures."""
    return np.asarray(image, np.uint8).reshape(face.shape)
