"""Bias correction: what rounding shifts on average is given back."""

from __future__ import annotations

import keras
import numpy as np

from emo_convert.repair.fakequant import simulate
from emo_convert.repair.graph import Floats, copy, copy_weights, observe, weighted
from emo_edge.contract import Image


def correct_biases(model: keras.Model, calibration: Image) -> keras.Model:
    """Return `model` with biases that make up for the mean error of rounding.

    Layer by layer, in order, the mean over faces and places of (float output - simulated output)
    is added to the bias of each channel (Nagel et al. 2019, section 4.2); a later layer sees the
    earlier corrections.

    Args:
        model: Made by `fold_batch_norm`, possibly equalized.
        calibration: uint8[N,H,W,C] faces.
    """
    simulated = simulate(model, calibration)
    reference = copy(model)
    names = [layer.name for layer in weighted(reference) if layer.use_bias]
    targets = _means(reference, names, calibration)
    for name in names:
        found = _means(simulated, [name], calibration)[name]
        layer = simulated.get_layer(name)
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel, bias + targets[name] - found])
    copy_weights(simulated, reference)
    return reference


def _means(model: keras.Model, names: list[str], faces: Image) -> dict[str, Floats]:
    """Return the mean output float32[channels] of each named layer."""
    totals = {name: np.zeros(model.get_layer(name).output.shape[-1]) for name in names}
    counts = dict.fromkeys(names, 0)
    for outputs in observe(model, names, faces):
        for name, output in outputs.items():
            rows = output.reshape(-1, output.shape[-1])
            totals[name] += rows.sum(axis=0, dtype=np.float64)
            counts[name] += len(rows)
    return {name: np.asarray(totals[name] / counts[name], np.float32) for name in names}
