"""`Recipe`: every choice of a training run, saved with it and enough to repeat it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emo_train.augment import Augmentation


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: SGD with Nesterov momentum, warm-up, then a cosine to zero.

    Attributes:
        architecture: A name of `emo_train.models.ARCHITECTURES`.
        epochs: Passes over the training split.
        batch_size: Faces a step.
        learning_rate: Peak, reached after `warmup` (a fraction of all steps).
        weight_decay: Decoupled (Loshchilov & Hutter 2019), on kernels alone.
        label_smoothing: Share of each target that is spread over all classes.
        dropout: Before the last layer.
        seed: Of weights, shuffling, augmentation and splits.
        augmentation: See `Augmentation`.
    """

    architecture: str = "small"
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 0.05
    warmup: float = 0.05
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    dropout: float = 0.2
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as a JSON-ready dictionary."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Read what `to_json` gave."""
        return cls(**{**data, "augmentation": Augmentation(**data["augmentation"])})
