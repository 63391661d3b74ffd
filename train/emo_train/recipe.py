"""`Recipe`: every choice of a training run, saved with it and enough to repeat it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emo_train.settings import check, from_mapping, setting


@dataclass(frozen=True)
class Augmentation:
    """Strengths: the largest deviation, drawn uniformly on either side.

    Blur and noise lie between 0 and their largest, most of them near 0: their roots are uniform.
    """

    flip: bool = setting(True, "Mirror half of the faces.")
    rotation: float = setting(12.0, "Degrees.", least=0, most=180)
    shift: float = setting(0.08, "Fraction of the picture's side.", least=0, most=1)
    shear: float = setting(0.0, "Degrees.", least=0, most=60)
    zoom: float = setting(0.12, "Fraction of the scale.", least=0, most=0.95)
    brightness: float = setting(0.12, "Fraction of the pixel range.", least=0, most=1)
    contrast: float = setting(0.2, "Fraction of the contrast.", least=0, most=1)
    blur: float = setting(
        0.0,
        "Largest standard deviation of a Gaussian, as a fraction of the side.",
        least=0,
        most=0.2,
    )
    noise: float = setting(
        0.02, "Largest standard deviation, as a fraction of the pixel range.", least=0, most=1
    )
    erasing: float = setting(
        0.25, "Probability that a random rectangle is painted over.", least=0, most=1
    )

    def __post_init__(self) -> None:
        """Raise `UsageError` for a strength that is not allowed."""
        check(self)


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Every setting is an option of `emo-train`, a key of a configuration file and, resolved, part of
    the run's config.json. Their help texts are their documentation.
    """

    labels: str = setting(
        "auto",
        "Labels of FER2013 files: auto is fer.",
        choices=("auto", "fer", "ferplus", "ferplus-soft"),
    )
    input_size: int = setting(48, "Side of the model's input in pixels.", least=8, most=1024)
    colour: str = setting("grey", "What the model sees.", choices=("grey", "rgb"))
    crop_margin: float = setting(
        0.0, "How far the pictures reach beyond a face box, per side.", least=-0.4, most=2.0
    )
    keep_duplicates: bool = setting(
        False, "Leave pictures that are in training too in the evaluation splits."
    )
    architecture: str = setting(
        "small", "A name of `emo-train models`, or your own module:function."
    )
    weights: str = setting(
        "auto",
        "What to start from: none, imagenet, or a run folder or model file; auto is imagenet for "
        "the nets that have it. The last layer is new.",
    )
    keep_head: bool = setting(
        False, "Take the last layer of --weights, too: they know the same classes in this order."
    )
    frozen_share: float = setting(
        0.0,
        "With weights from elsewhere: how many of the layers, from the first on, stay as they are.",
        least=0,
        most=0.9,
    )
    epochs: int = setting(30, "Passes over the training split.", least=1)
    batch_size: int = setting(64, "Faces a step.", least=1)
    optimizer: str = setting(
        "sgd", "sgd has Nesterov momentum 0.9.", choices=("sgd", "adam", "adamw")
    )
    learning_rate: float = setting(
        0.0,
        "Peak, after the warm-up; 0 is 0.05 for sgd, 0.001 for adam and adamw. That of a preset or "
        "file goes with its optimizer.",
        least=0,
    )
    schedule: str = setting(
        "cosine",
        "cosine falls to 0; plateau falls where the validation loss stays; constant stays at the "
        "peak: for --ema.",
        choices=("cosine", "plateau", "constant"),
    )
    warmup: float = setting(0.05, "Share of all steps (plateau: epochs).", least=0, most=1)
    plateau_patience: int = setting(
        5, "Epochs without a lower validation loss before the rate falls to 0.3 of it.", least=1
    )
    weight_decay: float = setting(
        5e-4,
        "Decoupled (Loshchilov & Hutter 2019), on kernels alone; adam has none.",
        least=0,
    )
    l2: float = setting(0.0, "Of squared kernels in the loss.", least=0)
    label_smoothing: float = setting(
        0.0, "Share of each target that is spread over all classes.", least=0, most=0.9
    )
    class_weights: str = setting(
        "none", "balanced lets all classes count alike.", choices=("none", "balanced")
    )
    mixup: float = setting(
        0.0, "alpha of Beta(alpha, alpha) (Zhang et al. 2018); 0 is none.", least=0, most=10
    )
    dropout: float = setting(0.2, "Before the last layer.", least=0, most=0.9)
    ema: float = setting(
        0.0,
        "Keep the average of the weights with this decay, e.g. 0.999; 0 is none.",
        least=0,
        most=0.99999,
    )
    precision: str = setting(
        "float32",
        "Of the arithmetic while training; the model that is left is float32.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    head_share: float = setting(
        0.1, "With weights from elsewhere: epochs for the new last layer alone.", least=0, most=1
    )
    tail_share: float = setting(
        0.3, "With weights from elsewhere: epochs after that for the last third.", least=0, most=1
    )
    unfreeze_rate: float = setting(
        0.1, "Learning rate of each such stage, as a share of the one before.", above=0, most=1
    )
    select_by: str = setting(
        "val_accuracy",
        "What makes an epoch the best one, on the validation split.",
        choices=("val_accuracy", "val_loss", "val_macro_recall", "val_macro_f1"),
    )
    patience: int = setting(
        0, "Stop after so many epochs without a better one; 0 never stops.", least=0
    )
    teacher_temperature: float = setting(
        2.0, "At which a --teacher is imitated (Hinton et al. 2015).", least=0.1, most=100
    )
    teacher_weight: float = setting(
        0.5, "Of a --teacher against the labels in the loss.", least=0, most=1
    )
    feature_weight: float = setting(
        0.0,
        "Of the features of a --teacher in the loss, beside all else (emo-train logits "
        "--features); 0 leaves them.",
        least=0,
        most=100,
    )
    tensorboard: bool = setting(False, "Write event files for TensorBoard into the run.")
    seed: int = setting(
        0, "Of weights, shuffling, augmentation and splits.", least=0, most=2**32 - 1
    )
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Raise `UsageError` for a value that is not allowed."""
        check(self)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as a JSON-ready dictionary."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Read what `to_json` gave; raises `UsageError` on anything else."""
        return from_mapping(cls, data)
