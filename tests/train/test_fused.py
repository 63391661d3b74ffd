from __future__ import annotations

import keras
import numpy as np
import pytest

from emo_train.fused import fused_batch_normalization

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the kernels are TensorFlow's"
)


def steps(layer: keras.Layer, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what two training steps give, and the derivatives of the first by the pictures."""
    import tensorflow as tf

    x = tf.constant(pictures)
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = tf.cast(layer(x, training=True), tf.float32)
        loss = tf.reduce_sum(out**3)
    derivatives = tape.gradient(loss, x)
    return np.asarray(layer(x, training=True)), np.asarray(derivatives)


def normalization(policy: str = "float32", **options: object) -> keras.Layer:
    layer = keras.layers.BatchNormalization(momentum=0.9, dtype=policy, **options)
    layer.build((None, 4, 4, 4))
    if layer.scale:
        layer.gamma.assign([1.0, 2.0, 0.5, -1.0])
    return layer


@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-4), ("mixed_bfloat16", 0.05)])
def test_the_fused_kernel_trains_as_keras_does(policy: str, tolerance: float) -> None:
    pictures = np.random.default_rng(0).normal(3, 2, (64, 6, 6, 4)).astype(np.float32)
    plain, fused = normalization(), normalization(policy)
    expected, slopes = steps(plain, pictures)
    with fused_batch_normalization():
        got, fused_slopes = steps(fused, pictures)
    assert got.dtype.name == fused.compute_dtype  # the kernel keeps the precision of the pictures
    np.testing.assert_allclose(got.astype(np.float32), expected, atol=tolerance)
    np.testing.assert_allclose(fused_slopes, slopes, atol=tolerance * np.abs(slopes).max())
    for ours, theirs in zip(fused.weights, plain.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}, {"axis": 1}])
def test_a_layer_without_a_kernel_is_left_to_keras(options: dict[str, object]) -> None:
    pictures = np.random.default_rng(0).normal(size=(8, 4, 4, 4)).astype(np.float32)
    layer = normalization(**options)
    expected = np.asarray(normalization(**options)(pictures, training=True))
    with fused_batch_normalization():
        np.testing.assert_array_equal(layer(pictures, training=True), expected)


def test_keras_is_as_it_was_afterwards() -> None:
    before = keras.layers.BatchNormalization.call
    with pytest.raises(ZeroDivisionError), fused_batch_normalization():
        raise ZeroDivisionError
    assert keras.layers.BatchNormalization.call is before
