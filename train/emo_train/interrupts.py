"""Ctrl-C while training: heard even where the code of others loses it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import keras

Check = Callable[[], None]


@contextmanager
def remembered_interrupts() -> Iterator[Check]:
    """Yield a function that raises KeyboardInterrupt if Ctrl-C was pressed in this context.

    Ctrl-C raises at once, as ever. But Python drops what is raised while a destructor or the
    callback of a weak reference runs, and h5py has many: of 400 interrupts of a Keras model being
    saved 6 were lost. So those who work for long ask again.
    """
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (signal's protocol)
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if before is not signal.default_int_handler or not main:
        yield check  # who ignores Ctrl-C (nohup) or hears it already goes on so
        return
    signal.signal(signal.SIGINT, press)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


class Listen(keras.callbacks.Callback):  # type: ignore[misc]
    """Call `check` after every batch and, last of the callbacks, after every epoch."""

    def __init__(self, check: Check) -> None:
        super().__init__()
        self._check = check

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Check."""
        self._check()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Check."""
        self._check()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Check."""
        self._check()
