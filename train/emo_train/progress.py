"""Training progress: a live bar on a terminal, one line an epoch everywhere."""

from __future__ import annotations

import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """Show the epoch, its scores, and how long the rest will take.

    A context: the bar is taken away however the training ends.
    """

    async_safe = True  # Keras then need not wait for the accelerator after every step

    def __init__(self, epochs: int, steps: int, metric: str) -> None:
        super().__init__()
        self._epochs, self._steps, self._metric = epochs, steps, metric
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=epochs * steps)
        self._epoch_began = 0.0

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Move the bar to this epoch (not the first one when resumed)."""
        self._epoch_began = time.monotonic()
        self._bar.update(self._task, completed=epoch * self._steps)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Advance the bar."""
        self._bar.advance(self._task)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Print the epoch's line."""
        scores = logs or {}
        seconds = time.monotonic() - self._epoch_began
        left = seconds * (self._epochs - epoch - 1)
        self._console.print(
            f"epoch {epoch + 1:>3}/{self._epochs}  loss {scores['loss']:.3f}  "
            f"accuracy {scores['accuracy']:.1%}  validation {scores['val_accuracy']:.1%}  "
            f"{self._chosen(scores)}{seconds:.1f} s  about {left / 60:.1f} min left"
        )

    def _chosen(self, scores: dict[str, Any]) -> str:
        """Return the metric that chooses the epoch, where the line does not show it already."""
        if self._metric == "val_accuracy":
            return ""
        return f"{self._metric} {scores[self._metric]:.3f}  "
