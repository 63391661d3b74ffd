"""Quantization-aware fine-tuning: the weights learn to live with int8."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from emo_convert.repair.fakequant import simulate
from emo_convert.repair.graph import BATCH, Floats, copy, copy_weights
from emo_edge.contract import Image

STEPS = 300
LEARNING_RATE = 5e-4  # ten times as much undoes the training of small nets
LARGEST_SHIFT = 2  # pixels


def fine_tune(model: keras.Model, calibration: Image, seed: int) -> keras.Model:
    """Return `model` with weights that answer alike when they are rounded.

    The simulated int8 model learns the outputs of the float model on the calibration faces,
    flipped and shifted for variety; no label is needed. Gradients pass straight through the
    rounding (Jacob et al. 2018, "Quantization and Training of Neural Networks").

    Args:
        model: Made by `fold_batch_norm`, possibly equalized; it is the teacher as well.
        calibration: uint8[N,H,W,C] faces.
        seed: Of the order, the flips and the shifts.

    Returns:
        A model of plain layers, the same as those of `model`.
    """
    rng = np.random.default_rng(seed)
    student = simulate(model, calibration)
    for layer in student.layers:
        layer.trainable = True  # those that slept in a training are saved asleep
    step = _training_step(copy(model), student, calibration)
    for _ in range(STEPS):
        step(tf.constant(_batch(calibration, rng)))
    tuned = copy(model)
    copy_weights(student, tuned)
    return tuned


def _training_step(teacher: keras.Model, student: keras.Model, faces: Image) -> Any:
    """Return what moves the weights of `student` by pixels float32[B,H,W,C].

    Its loss is the squared difference of the outputs, in units of the teacher's variance: it means
    the same for logits and probabilities.
    """
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, STEPS))
    optimizer.build(student.trainable_variables)
    outputs = [
        teacher(faces[i : i + BATCH].astype(np.float32)) for i in range(0, len(faces), BATCH)
    ]
    unit = max(float(np.concatenate(outputs).std()), 1e-6)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(pixels: Any) -> None:
        target = teacher(pixels, training=False)
        # Neither dropout nor batch statistics: the student is trained as it will be used.
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square((student(pixels, training=False) - target) / unit))
        variables = student.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)

    return step


def _batch(faces: Image, rng: np.random.Generator) -> Floats:
    """Draw float32[B,H,W,C] faces: half of them mirrored, all shifted alike by up to two pixels."""
    batch = faces[rng.choice(len(faces), BATCH)].astype(np.float32)
    mirrored = rng.random(BATCH) < 0.5
    batch[mirrored] = batch[mirrored, :, ::-1]
    room = LARGEST_SHIFT
    top, left = rng.integers(0, 2 * room + 1, 2)
    padded = np.pad(batch, ((0, 0), (room, room), (room, room), (0, 0)), mode="edge")
    height, width = faces.shape[1:3]
    return padded[:, top : top + height, left : left + width]
