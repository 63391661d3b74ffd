"""Accuracy, macro recall and macro F1 while a model trains, on whatever backend trains it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def confusion(targets: Any, answers: Any, classes: int) -> Any:
    """Return counts float32[n,n] of a batch: rows are true classes, columns the answers."""
    true = ops.one_hot(ops.argmax(targets[:, :classes], axis=1), classes)
    found = ops.one_hot(ops.argmax(answers[:, :classes], axis=1), classes)
    return ops.matmul(ops.transpose(true), found)


class Scores(keras.metrics.Metric):  # type: ignore[misc]
    """The scores of `emo_edge.metrics`, accumulated batch by batch in a confusion matrix.

    Args:
        classes: n. Targets and answers may be wider than that (`emo_train.distillation`): only
            their first n columns are labels.
    """

    def __init__(self, classes: int, **options: Any) -> None:
        super().__init__(**options)
        self._classes = classes
        self._counts = self.add_weight(shape=(classes, classes), initializer="zeros", name="counts")

    def update_state(self, targets: Any, answers: Any, sample_weight: Any = None) -> None:  # noqa: ARG002
        """Count a batch: targets and answers float[B,n or more]."""
        self.add(confusion(targets, answers, self._classes))

    def add(self, counts: Any) -> None:
        """Add a confusion matrix float[n,n]."""
        self._counts.assign_add(counts)

    def faces(self) -> int:
        """Return how many were counted."""
        return int(ops.sum(self._counts))

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
