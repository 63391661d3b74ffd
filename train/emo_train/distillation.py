"""Distillation: a student learns from its teachers' answers as well as from the labels.

Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network". What a teacher's last
layer is given says more of a face than a few probabilities do: a student may learn to tell that
too, by outputs that only its training has (Romero et al. 2015, "FitNets: Hints for Thin Deep
Nets").
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

Logits = NDArray[np.float32]
Features = NDArray[np.float32]
Targets = NDArray[np.float32]

LEAST_SPREAD = 1e-3  # of a feature; what is nearly the same for all faces is not blown up


def softened(logits: Logits, temperature: float) -> Targets:
    """Return softmax(logits / temperature), float32[N,n]."""
    scaled = logits.astype(np.float32) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def standardized(features: Features) -> Features:
    """Return features float32[N,k] with mean 0 and standard deviation 1 over the faces."""
    spread = np.maximum(features.std(axis=0), LEAST_SPREAD)
    return np.asarray((features - features.mean(axis=0)) / spread, np.float32)


def joined(
    labels: Targets, teacher: Logits, temperature: float, features: Features | None = None
) -> Targets:
    """Return what `DistillationLoss` is given: labels and beside them the teacher's answers.

    Both float32[N,n] are linear in the face, so that what mixes faces mixes these alike. Features
    float32[N,k] come last, standardized.
    """
    parts = [labels, softened(teacher, temperature)]
    if features is not None:
        parts.append(standardized(features))
    return np.concatenate(parts, axis=1)


@keras.saving.register_keras_serializable("emo_train")
class DistillationLoss(keras.losses.Loss):  # type: ignore[misc]
    """(1 - weight) CE(labels, student) + weight T^2 KL(teacher at T || student at T).

    T^2 keeps the gradient of the second term as large as that of the first (section 2.1).
    A student of more than n outputs tells the k features of the teacher in the others: their mean
    squared error is added, times `feature_weight`.
    Targets of n columns instead of 2 n + k have no teacher: the loss is that of the labels alone.

    Args:
        classes: n.
        temperature: T, at which the teacher's answers in the targets were taken.
        weight: Of the teacher, 0 to 1.
        label_smoothing: Of the labels alone.
        feature_weight: Of the features.
    """

    def __init__(
        self,
        classes: int,
        temperature: float,
        weight: float,
        label_smoothing: float,
        feature_weight: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._classes, self._temperature = classes, temperature
        self._weight, self._smoothing = weight, label_smoothing
        self._feature_weight = feature_weight

    def call(self, targets: Any, answers: Any) -> Any:
        """Return the loss float32[B] of targets float32[B,2n+k] or [B,n] and answers [B,n+k]."""
        logits, told = answers[:, : self._classes], answers[:, self._classes :]
        loss = ops.categorical_crossentropy(
            self._smoothed(targets[:, : self._classes]), logits, from_logits=True
        )
        if targets.shape[-1] == self._classes:
            return loss
        teacher = targets[:, self._classes : 2 * self._classes]
        student = ops.log_softmax(logits / self._temperature, axis=-1)
        known = ops.log(ops.maximum(teacher, 1e-12))
        divergence = ops.sum(teacher * (known - student), axis=-1)
        loss = (1 - self._weight) * loss + self._weight * self._temperature**2 * divergence
        if told.shape[-1] == 0:
            return loss
        missed = ops.square(targets[:, 2 * self._classes :] - told)
        return loss + self._feature_weight * ops.mean(missed, axis=-1)

    def _smoothed(self, labels: Any) -> Any:
        return labels * (1 - self._smoothing) + self._smoothing / self._classes

    def get_config(self) -> dict[str, Any]:
        """Return what `__init__` takes: Keras saves the loss with the model."""
        return {
            **super().get_config(),
            "classes": self._classes,
            "temperature": self._temperature,
            "weight": self._weight,
            "label_smoothing": self._smoothing,
            "feature_weight": self._feature_weight,
        }
