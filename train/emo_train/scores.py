"""Accuracy, macro recall and macro F1 while a model trains, on whatever backend trains it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class Scores(keras.metrics.Metric):  # type: ignore[misc]
    """The scores of `emo_edge.metrics`, accumulated batch by batch in a confusion matrix.

    Args:
        classes: n. Targets may be wider than that (`emo_train.distillation`): only their first n
            columns are labels.
    """

    def __init__(self, classes: int, **options: Any) -> None:
        super().__init__(**options)
        self._classes = classes
        self._counts = self.add_weight(shape=(classes, classes), initializer="zeros", name="counts")

    def update_state(self, targets: Any, answers: Any, sample_weight: Any = None) -> None:  # noqa: ARG002
        """Count a batch: targets float[B,n or more], answers float[B,n]."""
        true = ops.one_hot(ops.argmax(targets[:, : self._classes], axis=1), self._classes)
        found = ops.one_hot(ops.argmax(answers, axis=1), self._classes)
        self._counts.assign_add(ops.matmul(ops.transpose(true), found))

    def result(self) -> dict[str, Any]:
        """Return the scores; the macro averages are over the classes that are present."""
        counts = ops.convert_to_tensor(self._counts)
        hits, true, found = ops.diagonal(counts), ops.sum(counts, axis=1), ops.sum(counts, axis=0)
        present = ops.cast(true > 0, "float32")

        def macro(values: Any) -> Any:
            return ops.sum(values * present) / ops.maximum(ops.sum(present), 1.0)

        return {
            "accuracy": ops.sum(hits) / ops.maximum(ops.sum(true), 1.0),
            "macro_recall": macro(hits / ops.maximum(true, 1.0)),
            "macro_f1": macro(2 * hits / ops.maximum(true + found, 1.0)),
        }
