"""What a command that trains or draws needs before it starts."""

from __future__ import annotations

import os

from emo_edge.commands import require_extra
from emo_edge.errors import UsageError
from emo_edge.messages import hushed

BACKENDS = ("tensorflow", "jax", "torch")


def require_workstation() -> None:
    """Raise `UsageError` if the extra is missing; import the backend without its chatter.

    KERAS_BACKEND chooses it, as everywhere with Keras.
    """
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise UsageError(f"unknown KERAS_BACKEND {backend!r}; choose from {known}")
    require_extra("workstation", "keras", "matplotlib", "rich", *_only_workstation(backend))
    if backend != "tensorflow":
        require_extra(backend, backend)
        return
    with hushed():
        import tensorflow as tf

        tf.constant(0)  # looks for GPUs, which is as talkative as the import


def _only_workstation(backend: str) -> tuple[str, ...]:
    return ("tensorflow",) if backend == "tensorflow" else ()
