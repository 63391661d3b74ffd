"""Augmentation in the graph, one batch at a time: what a camera and a detector do to a face."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from emo_train.recipe import Augmentation

# Random erasing: Zhong et al. 2017.
ERASED_AREA = (0.02, 0.2)  # share of the picture; the ranges of the paper, its upper end halved
ERASED_ASPECT = (0.4, 2.5)


def augment(images: Any, strength: Augmentation) -> Any:
    """Return a batch float32[B,H,W,C] 0-255 of `images` (uint8 or float32), each one changed."""
    images = tf.cast(images, tf.float32)
    images = _move(images, strength)
    images = _relight(images, strength)
    images = _erase(images, strength.erasing)
    return tf.clip_by_value(images, 0.0, 255.0)


def _uniform(batch: Any, limit: float) -> Any:
    return tf.random.uniform([batch], -limit, limit)


def _move(images: Any, strength: Augmentation) -> Any:
    """Flip, rotate, scale and shift by one affine map a picture; edges are repeated."""
    batch, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    angle = _uniform(batch, math.radians(strength.rotation))
    scale = 1.0 + _uniform(batch, strength.zoom)
    mirror = tf.ones([batch])
    if strength.flip:
        mirror = tf.sign(tf.random.uniform([batch], -1.0, 1.0))
    shift_x = _uniform(batch, strength.shift) * width
    shift_y = _uniform(batch, strength.shift) * height
    cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
    # Output (x, y) is looked up at (a x + b y + c, d x + e y + f), about the centre.
    centre_x, centre_y = (width - 1) / 2.0, (height - 1) / 2.0
    a, b, d, e = mirror * cos, -mirror * sin, sin, cos
    c = centre_x - a * centre_x - b * centre_y + shift_x
    f = centre_y - d * centre_x - e * centre_y + shift_y
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


def _relight(images: Any, strength: Augmentation) -> Any:
    """Change contrast about the picture's mean, brightness, and add sensor noise."""
    batch = tf.shape(images)[0]

    def each(limit: float) -> Any:
        return _uniform(batch, limit)[:, None, None, None]

    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    images = (images - mean) * (1.0 + each(strength.contrast)) + mean
    images += 255.0 * each(strength.brightness)
    sigma = tf.abs(each(strength.noise)) * 255.0
    return images + tf.random.normal(tf.shape(images)) * sigma


def _erase(images: Any, probability: float) -> Any:
    """Paint a rectangle of one random grey over some of the pictures."""
    batch, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    area = tf.random.uniform([batch], *ERASED_AREA)
    aspect = tf.exp(tf.random.uniform([batch], *(math.log(v) for v in ERASED_ASPECT)))
    half_y, half_x = tf.sqrt(area * aspect) / 2.0, tf.sqrt(area / aspect) / 2.0
    centre_y, centre_x = tf.random.uniform([batch]), tf.random.uniform([batch])
    rows = tf.abs(tf.range(height, dtype=tf.float32)[None] / height - centre_y[:, None])
    columns = tf.abs(tf.range(width, dtype=tf.float32)[None] / width - centre_x[:, None])
    inside = (rows <= half_y[:, None])[:, :, None] & (columns <= half_x[:, None])[:, None, :]
    chosen = tf.random.uniform([batch]) < probability
    grey = tf.random.uniform([batch, 1, 1, 1], 0.0, 255.0)
    return tf.where((inside & chosen[:, None, None])[..., None], grey, images)
