"""What a command that trains or draws needs before it starts."""

from __future__ import annotations

import importlib.util
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
    if backend != "tensorflow":
        require_extra("train", "keras", "matplotlib", "rich")
        if importlib.util.find_spec(backend) is None:
            raise UsageError(f"KERAS_BACKEND={backend}, but {backend} is not installed")
        return
    require_extra("workstation", "tensorflow", "keras", "matplotlib", "rich")
    # By itself TensorFlow leaves oneDNN off on processors without AVX-512: half the speed there.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with hushed():
        import tensorflow as tf

        tf.config.list_physical_devices()  # as talkative as the import
