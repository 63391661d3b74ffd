"""What a command that trains or draws needs before it starts."""

from __future__ import annotations

import os

from emo_edge.commands import require_extra
from emo_edge.messages import hushed


def require_workstation() -> None:
    """Raise `UsageError` if the extra is missing; import TensorFlow without its chatter."""
    require_extra("workstation", "tensorflow", "keras", "matplotlib", "rich")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with hushed():
        import tensorflow as tf

        tf.constant(0)  # looks for GPUs, which is as talkative as the import
