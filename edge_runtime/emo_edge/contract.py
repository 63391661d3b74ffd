"""The preprocessing contract: from a picture and a box to the pixels that a model is fed.

Training, calibration, the parity gate, the benchmarks and the device all call these functions;
nothing else may resize or convert a face. Every step is bit-equal on x86-64 and Arm: that is why
enlarging uses INTER_LINEAR_EXACT (INTER_LINEAR differs by a level between the two).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from emo_edge.artifacts import read_beginning
from emo_edge.errors import DataError
from emo_edge.spec import ModelSpec

Image = NDArray[np.uint8]
Probabilities = NDArray[np.float32]

MAX_PICTURE_BYTES = 128 << 20
# The formats that OpenCV is asked to decode: its rarer decoders are no one's front door.
PICTURE_MAGIC = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n", b"RIFF", b"BM", b"II*\0", b"MM\0*"),
    *(b"P%d" % number for number in range(1, 7)),
)


# A strip of 65,000 x 1 pixels, squared, would take 12 GB. No smaller crop is touched by this.
LARGEST_CROP = 8192


class Box(NamedTuple):
    """A face in pixels: left, top, width, height; may reach beyond the picture."""

    x: float
    y: float
    w: float
    h: float
    score: float = 1.0


def read_image(path: Path | str) -> Image:
    """Return a picture as uint8[H,W,3] BGR: EXIF rotation applied, alpha dropped, 16 bit to 8.

    Raises `DataError` if the file is missing or is not a picture (see `decode_image`).
    """
    try:
        encoded = read_beginning(Path(path), MAX_PICTURE_BYTES + 1)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return decode_image(encoded, str(path))


def decode_image(encoded: bytes, name: str = "the picture") -> Image:
    """Return an encoded picture as `read_image` does.

    Args:
        encoded: JPEG, PNG, WebP, BMP, TIFF or PNM.
        name: What messages call it.

    Raises `DataError` if it is no such picture or a decompression bomb: the size that its header
    promises is judged before anything is decoded.
    """
    if len(encoded) > MAX_PICTURE_BYTES:
        raise DataError(f"{name} is larger than {MAX_PICTURE_BYTES >> 20} MiB: not a picture")
    if not encoded.startswith(PICTURE_MAGIC):
        raise DataError(f"{name} is not a readable picture (JPEG, PNG, WebP, BMP, TIFF, PNM)")
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE" in error.err:
            raise DataError(f"{name} has too many pixels: make it smaller") from error
        image = None
    if image is None:
        raise DataError(f"{name} is not a readable picture: damaged or cut short")
    return np.asarray(image, dtype=np.uint8)


def crop_face(image: Image, box: Box, margin: float) -> Image:
    """Cut the square around `box`, widened on each side by `margin` x its longer side.

    Where the square leaves the picture, the edge pixels are repeated (never black bars, which no
    training picture has). A square larger than `LARGEST_CROP` is cut from the picture at a half, a
    third and so on of its size.

    Args:
        image: uint8[H,W,3] BGR or uint8[H,W] grey.
        box: The face, in pixels of `image`.
        margin: Fraction of the box's longer side.

    Returns:
        uint8[S,S,3] or uint8[S,S], a view into `image` where possible.
    """
    side = max(1, round(max(box.w, box.h) * (1.0 + 2.0 * margin)))
    if side > LARGEST_CROP:
        parts = math.ceil(side / LARGEST_CROP)
        image, box = _reduced(image, parts), Box(*(pixels / parts for pixels in box[:4]))
        side = max(1, round(side / parts))
    height, width = image.shape[:2]
    # Not round(): it goes to the even side, and a box moved by 1 would move the crop by 0 or 2.
    left = math.floor(box.x + box.w / 2 - side / 2 + 0.5)
    top = math.floor(box.y + box.h / 2 - side / 2 + 0.5)
    if left >= 0 and top >= 0 and left + side <= width and top + side <= height:
        return image[top : top + side, left : left + side]
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    return np.asarray(image[rows[:, None], columns], dtype=np.uint8)


def _reduced(image: Image, parts: int) -> Image:
    """Return a picture at one part of its width and height."""
    size = [max(1, round(pixels / parts)) for pixels in (image.shape[1], image.shape[0])]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def scaled_size(image: Image, scale: float) -> tuple[int, int]:
    """Return width and height, at least a pixel each, of a picture at `scale` (as OpenCV asks)."""
    height, width = image.shape[:2]
    return max(1, round(width * scale)), max(1, round(height * scale))


def prepare(image: Image, spec: ModelSpec, box: Box | None = None) -> Image:
    """Return the pixels that the model of `spec` is fed for one face.

    Args:
        image: uint8[H,W,3] BGR, uint8[H,W,1] or uint8[H,W] grey.
        spec: The model's spec.
        box: The face in `image`; None if the picture is a face crop already (made square, if it
            is not, by repeating its edges).

    Returns:
        uint8[1,height,width,channels], raw pixels 0-255, channels grey or R, G, B.
    """
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if box is not None:
        image = crop_face(image, box, spec.crop_margin)
    elif image.shape[0] != image.shape[1]:
        # Squared by repeating its edges: squashing would teach faces that no detector cuts.
        height, width = image.shape[:2]
        image = crop_face(image, Box(0, 0, width, height), 0.0)
    pixels = _recolour(image, spec)
    if pixels.shape[:2] != (spec.height, spec.width):
        shrinking = pixels.shape[0] >= spec.height and pixels.shape[1] >= spec.width
        method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR_EXACT
        pixels = np.asarray(
            cv2.resize(pixels, (spec.width, spec.height), interpolation=method), dtype=np.uint8
        )
    return pixels.reshape(spec.input_shape)


def _recolour(image: Image, spec: ModelSpec) -> Image:
    """Convert BGR or grey to the colour of the spec (before resizing: fewer channels to resize)."""
    if spec.colour == "grey":
        converted = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    else:
        code = cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB
        converted = cv2.cvtColor(image, code)
    return np.asarray(converted, dtype=np.uint8)


def probabilities(output: NDArray[np.float32], spec: ModelSpec) -> Probabilities:
    """Turn real-valued model outputs into probabilities that sum to 1.

    Args:
        output: float32[..., n], logits or probabilities as `spec.output` says.
        spec: The model's spec.

    Returns:
        float32[..., n]: softmax(logits / temperature). For a temperature other than 1, a softmax
        inside the graph is undone by a logarithm first, floored at the 1/512 that an int8 output
        cannot tell from 0.
    """
    if spec.output == "probabilities" and spec.temperature == 1.0:
        return np.asarray(output / output.sum(axis=-1, keepdims=True), dtype=np.float32)
    logits = output
    if spec.output == "probabilities":
        logits = np.log(np.maximum(output, 1.0 / 512.0))
    scaled = logits / np.float32(spec.temperature)
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)
