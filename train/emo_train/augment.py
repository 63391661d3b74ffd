"""Augmentation, one batch at a time: what a camera and a detector do to a face.

Written in `keras.ops`, so that TensorFlow runs it inside the graph of the input pipeline,
and JAX and PyTorch on their accelerator.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from emo_train.recipe import Augmentation

# Random erasing: Zhong et al. 2017.
ERASED_AREA = (0.02, 0.2)  # share of the picture; the ranges of the paper, its upper end halved
ERASED_ASPECT = (0.4, 2.5)
LAST = "channels_last"


class Draws(keras.random.SeedGenerator):  # type: ignore[misc]
    """Random numbers that are a function of one seed, which may be a tensor of a graph.

    Keras takes whole numbers as seeds, which a graph would freeze, or a generator: this one is
    without state, so that a step of a training draws the same however it was reached.

    Args:
        seed: int32 scalar, at least 0.
    """

    def __init__(self, seed: Any) -> None:
        self._seed, self._drawn = seed, 0

    def next(self, ordered: bool = True) -> Any:  # noqa: ARG002
        """Return the next seed pair, as the functions of `keras.random` ask for it."""
        self._drawn += 1
        pair = ops.stack([ops.cast(self._seed, "int32"), ops.cast(self._drawn, "int32")])
        return ops.cast(pair, "uint32") if keras.backend.backend() == "jax" else pair

    def uniform(self, shape: tuple[int, ...], low: float, high: float) -> Any:
        """Return float32 values, uniform from `low` to `high`."""
        return keras.random.uniform(shape, low, high, dtype="float32", seed=self)


def augment(images: Any, strength: Augmentation, seed: Any) -> Any:
    """Return a batch float32[B,H,W,C] 0-255 of `images` (uint8 or float32), each one changed.

    Args:
        images: B must be known when a graph is traced.
        strength: How much.
        seed: int32 scalar, at least 0: equal seeds give equal changes.
    """
    draw = Draws(seed)
    images = ops.cast(images, "float32")
    images = _move(images, strength, draw)
    images = _relight(images, strength, draw)
    images = _degrade(images, strength, draw)
    images = _erase(images, strength.erasing, draw)
    return ops.clip(images, 0.0, 255.0)


def _move(images: Any, strength: Augmentation, draw: Draws) -> Any:
    """Flip, rotate, shear, scale and shift by one affine map a picture; edges are repeated."""
    batch, height, width, _ = images.shape
    limit = math.radians(strength.rotation)
    angle = draw.uniform((batch,), -limit, limit)
    scale = 1.0 + draw.uniform((batch,), -strength.zoom, strength.zoom)
    mirror = ops.ones((batch,))
    if strength.flip:
        mirror = ops.sign(draw.uniform((batch,), -1.0, 1.0))
    shift_x = draw.uniform((batch,), -strength.shift, strength.shift) * width
    shift_y = draw.uniform((batch,), -strength.shift, strength.shift) * height
    cos, sin = ops.cos(angle) * scale, ops.sin(angle) * scale
    slant = 0.0
    if strength.shear:
        steepest = math.tan(math.radians(strength.shear))
        slant = draw.uniform((batch,), -steepest, steepest)
    # Output (x, y) is looked up at (a x + b y + c, d x + e y + f), about the centre.
    centre_x, centre_y = (width - 1) / 2.0, (height - 1) / 2.0
    a, b, d, e = mirror * cos, mirror * (slant * cos - sin), sin, cos + slant * sin
    c = centre_x - a * centre_x - b * centre_y + shift_x
    f = centre_y - d * centre_x - e * centre_y + shift_y
    return _look_up(images, ops.stack([a, b, c, d, e, f], axis=1))


def _look_up(images: Any, maps: Any) -> Any:
    """Return each picture seen through its map [B,6], bilinear, with its edge pixels repeated."""
    if keras.backend.backend() == "torch":
        return _look_up_torch(images, maps)
    maps = ops.pad(maps, ((0, 0), (0, 2)))
    return ops.image.affine_transform(images, maps, "bilinear", "nearest", data_format=LAST)


def _look_up_torch(images: Any, maps: Any) -> Any:
    """Do the same by `grid_sample`: the operation of Keras loops over the pictures here."""
    import torch

    batch, height, width, _ = images.shape
    y, x = torch.meshgrid(
        torch.arange(height, device=images.device),
        torch.arange(width, device=images.device),
        indexing="ij",
    )
    places = torch.stack([x, y, torch.ones_like(x)], -1).to(maps.dtype)
    at = torch.einsum("hwk,bck->bhwc", places, maps.reshape(batch, 2, 3))
    at = 2 * at / torch.tensor([width - 1, height - 1], device=images.device) - 1
    seen = torch.nn.functional.grid_sample(
        images.permute(0, 3, 1, 2), at, padding_mode="border", align_corners=True
    )
    return seen.permute(0, 2, 3, 1)


def _relight(images: Any, strength: Augmentation, draw: Draws) -> Any:
    """Change contrast about the picture's mean, and brightness."""

    def each(limit: float) -> Any:
        return draw.uniform((images.shape[0], 1, 1, 1), -limit, limit)

    mean = ops.mean(images, axis=[1, 2, 3], keepdims=True)
    images = (images - mean) * (1.0 + each(strength.contrast)) + mean
    return images + 255.0 * each(strength.brightness)


def _degrade(images: Any, strength: Augmentation, draw: Draws) -> Any:
    """Take away sharpness and add sensor noise, a little to most and much to a few."""

    def each() -> Any:
        return draw.uniform((images.shape[0], 1, 1, 1), 0.0, 1.0) ** 2

    sigma = strength.blur * max(images.shape[1:3])
    if sigma > 0:
        images = images + each() * (_blurred(images, sigma) - images)
    noise = keras.random.normal(images.shape, dtype="float32", seed=draw)
    return images + noise * (each() * strength.noise * 255.0)


def _blurred(images: Any, sigma: float) -> Any:
    """Return the batch after a Gaussian of `sigma` pixels; it goes on as in a mirror."""
    reach = math.ceil(3 * sigma)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights = (weights / weights.sum()).astype(np.float32)
    batch, height, width, channels = images.shape
    # Channels go where pictures go: one filter of one channel serves all.
    planes = ops.reshape(ops.transpose(images, (0, 3, 1, 2)), (-1, height, width, 1))
    padding = ((0, 0), (reach, reach), (reach, reach), (0, 0))
    planes = ops.pad(planes, padding, mode="symmetric")
    for kernel in (weights.reshape(-1, 1, 1, 1), weights.reshape(1, -1, 1, 1)):
        planes = ops.conv(planes, kernel, padding="valid", data_format=LAST)
    return ops.transpose(ops.reshape(planes, (batch, channels, height, width)), (0, 2, 3, 1))


def _erase(images: Any, probability: float, draw: Draws) -> Any:
    """Paint a rectangle of one random grey over some of the pictures."""
    batch, height, width, _ = images.shape
    area = draw.uniform((batch, 1), *ERASED_AREA)
    aspect = ops.exp(draw.uniform((batch, 1), *(math.log(v) for v in ERASED_ASPECT)))
    half_y, half_x = ops.sqrt(area * aspect) / 2.0, ops.sqrt(area / aspect) / 2.0
    centre_y, centre_x = draw.uniform((batch, 1), 0.0, 1.0), draw.uniform((batch, 1), 0.0, 1.0)
    rows = ops.abs(ops.arange(height, dtype="float32")[None] / height - centre_y) <= half_y
    columns = ops.abs(ops.arange(width, dtype="float32")[None] / width - centre_x) <= half_x
    chosen = draw.uniform((batch, 1, 1), 0.0, 1.0) < probability
    inside = ops.logical_and(ops.logical_and(rows[:, :, None], columns[:, None, :]), chosen)
    grey = draw.uniform((batch, 1, 1, 1), 0.0, 255.0)
    return ops.where(inside[..., None], grey, images)
