"""What happens after every epoch: the record, the best model, the backup.

Each leaves its file whole or not at all, and each goes on from what the files say: a training that
was killed anywhere ends as if it had not been.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import keras

from emo_edge.artifacts import atomic_path, write_bytes
from emo_edge.errors import DataError
from emo_edge.messages import say

Scores = dict[str, float]
LOWER_IS_BETTER = ("val_loss",)


def read_history(path: Path) -> list[Scores]:
    """Return the scores of every recorded epoch; none if there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def write_history(path: Path, epochs: Sequence[Scores]) -> None:
    """Write the scores of every epoch, all with the same names, as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(epochs[0]))
    writer.writeheader()
    for scores in epochs:
        writer.writerow({**scores, "epoch": int(scores["epoch"])})
    write_bytes(path, text.getvalue().encode())


def best_epoch(epochs: Sequence[Scores], metric: str) -> int:
    """Return the epoch with the best value of `metric`.

    Of several with the same value (a small validation split knows few) it is the one with the
    lowest validation loss, and of those the first.
    """

    def rank(epoch: int) -> tuple[float, float]:
        value = epochs[epoch][metric]
        return (value if metric in LOWER_IS_BETTER else -value), epochs[epoch]["val_loss"]

    return min(range(len(epochs)), key=rank)


class Record(keras.callbacks.Callback):  # type: ignore[misc]
    """Append each epoch's scores to history.csv; a diverged one ends the training."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def on_epoch_end(self, epoch: int, logs: Scores | None = None) -> None:
        """Write the record; raises `DataError` if the loss is not a number."""
        scores = dict(logs or {})
        if not math.isfinite(scores["loss"]):
            raise DataError(
                "training diverged (the loss is not a number): start a new run with a lower "
                "--learning-rate"
            )
        write_history(self._path, [*read_history(self._path), {"epoch": epoch, **scores}])


class KeepBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Save the model of the best epoch so far (see `best_epoch`); stop when none is better.

    Args:
        path: Of the best model.
        history: Which `Record` has written before.
        metric: A column of the history.
        patience: Epochs without a new best after which training ends; 0 never ends it.
    """

    def __init__(self, path: Path, history: Path, metric: str, patience: int) -> None:
        super().__init__()
        self._path, self._history = path, history
        self._metric, self._patience = metric, patience

    def has_ended(self) -> bool:
        """Whether the history holds as many epochs without a new best as patience allows."""
        epochs = read_history(self._history)
        if not self._patience or not epochs:
            return False
        return len(epochs) - 1 - best_epoch(epochs, self._metric) >= self._patience

    def on_epoch_end(self, epoch: int, logs: Scores | None = None) -> None:  # noqa: ARG002
        """Compare, save, and stop."""
        epochs = read_history(self._history)
        if best_epoch(epochs, self._metric) == len(epochs) - 1:
            with atomic_path(self._path) as temporary:
                self.model.save(temporary)
        if self.has_ended():
            best = best_epoch(epochs, self._metric) + 1
            say(f"stopped after epoch {epoch + 1}: {self._metric} was best in epoch {best}")
            self.model.stop_training = True


class Backup(keras.callbacks.Callback):  # type: ignore[misc]
    """Save the model and its optimizer after every epoch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def on_epoch_end(self, epoch: int, logs: Scores | None = None) -> None:  # noqa: ARG002
        """Save."""
        with atomic_path(self._path) as temporary:
            self.model.save(temporary)


class Reseed(keras.callbacks.Callback):  # type: ignore[misc]
    """Let dropout draw the same in an epoch, however it was reached: its state is not saved."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    def on_epoch_begin(self, epoch: int, logs: Scores | None = None) -> None:  # noqa: ARG002
        """Set the second number of every seed, which counts the draws."""
        for variable in self.model.variables:
            if variable.name == "seed_generator_state":
                first = int(keras.ops.convert_to_numpy(variable)[0])
                variable.assign([first, epoch * self._steps])
