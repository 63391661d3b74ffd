"""What happens to a batch after augmentation: mixup, and weights of rare classes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from emo_train.augment import Draws

MIXUP_SEED = 0x6D6978  # another stream than augmentation, which begins at the same seed


def mixup(images: Any, targets: Any, alpha: float, seed: Any) -> tuple[Any, Any]:
    """Blend each face with another of the batch (Zhang et al. 2018, "mixup").

    Args:
        images: float32[B,H,W,C].
        targets: float32[B,...], blended by the same share, which is drawn from Beta(alpha, alpha).
        alpha: Above 0; 0.2 blends little, 1 anything between the two.
        seed: int32 scalar: equal seeds give equal blends.
    """
    draw = Draws(ops.bitwise_xor(seed, MIXUP_SEED))
    batch = images.shape[0]
    share = keras.random.beta((batch,), alpha, alpha, dtype="float32", seed=draw)
    share = ops.maximum(share, 1 - share)  # each face stays the larger part of its own blend
    s = ops.reshape(share, (batch, 1, 1, 1))
    images = images * s + ops.flip(images, axis=0) * (1 - s)
    t = ops.reshape(share, (batch, 1))
    return images, targets * t + ops.flip(targets, axis=0) * (1 - t)


def balanced(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return weights float32[n] under which all classes count alike, 1 on average over the faces.

    Args:
        targets: float32[N,n] of the training split; a class without faces gets the weight 0.
    """
    counts = targets.sum(axis=0)
    present = counts > 0
    weights = np.where(present, len(targets) / np.maximum(counts, 1e-9) / present.sum(), 0.0)
    return weights.astype(np.float32)


def weigh(targets: Any, weights: NDArray[np.float32]) -> Any:
    """Return the weight float32[B] of each face; targets may be wider than the classes."""
    return ops.matmul(targets[:, : len(weights)], ops.convert_to_tensor(weights))
