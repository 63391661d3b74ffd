"""`ModelSpec`: everything that the device must know about a model, carried inside its file."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from emo_edge.errors import ModelError

SPEC_FORMAT = 1
LONGEST_LABEL = 100

Colour = Literal["grey", "rgb"]
Output = Literal["logits", "probabilities"]


@dataclass(frozen=True)
class ModelSpec:
    """The contract between a model and whoever feeds it.

    Attributes:
        labels: Class names in the order of the model's outputs; at least two, all different.
        height, width: Input size in pixels.
        colour: "grey" (one channel) or "rgb" (three channels in the order R, G, B).
        output: What the graph ends in: "logits", or "probabilities" (a softmax inside).
        input_range: Values that the pixels 0 and 255 are mapped to for the model's real-valued
            input; (0, 255) for our models, whose scaling lives inside the graph.
        crop_margin: How far the crop reaches beyond the face box on each side, as a fraction of
            the box's longer side.
        temperature: Logits are divided by it before the softmax (Guo et al. 2017,
            "On Calibration of Modern Neural Networks"); fitted on the validation split.
        threshold: A confidence below it is shown as "uncertain".
        minimum_runtime: Oldest runtime that accepts every operator, e.g. "tflite-runtime-2.14".
        training: Where the model comes from: data and its hash, protocol, metrics, versions.
        conversion: Quantization, calibration set, parity results, versions.
    """

    labels: tuple[str, ...]
    height: int
    width: int
    colour: Colour = "grey"
    output: Output = "logits"
    input_range: tuple[float, float] = (0.0, 255.0)
    crop_margin: float = 0.0
    temperature: float = 1.0
    threshold: float = 0.0
    minimum_runtime: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    conversion: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse values that no preprocessing can honour (raises `ModelError`)."""
        for problem, message in (
            (len(self.labels) < 2, "needs at least two labels"),
            (len(set(self.labels)) != len(self.labels), "names a label twice"),
            (not all(label.strip() == label != "" for label in self.labels), "has a blank label"),
            (any(len(t.splitlines()) > 1 for t in self.labels), "has a line break in a label"),
            # Labels reach terminals and web pages.
            (not all(label.isprintable() for label in self.labels), "has a label with controls"),
            (
                any(len(t) > LONGEST_LABEL for t in self.labels),
                "has a label of over 100 characters",
            ),
            (not (8 <= self.height <= 1024 and 8 <= self.width <= 1024), "input size not 8-1024"),
            (self.colour not in get_args(Colour), f"unknown colour {self.colour!r}"),
            (self.output not in get_args(Output), f"unknown output {self.output!r}"),
            (not self.input_range[0] < self.input_range[1], "empty input range"),
            (max(map(abs, self.input_range)) > 1e6, "input range beyond 1e6"),
            (not -0.4 <= self.crop_margin <= 2.0, "crop margin not within -0.4 to 2"),
            (not 0.01 <= self.temperature <= 100.0, "temperature not within 0.01 to 100"),
            (not 0.0 <= self.threshold < 1.0, "threshold not within 0 to 1"),
        ):
            if problem:
                raise ModelError(f"model metadata: {message}")

    @property
    def channels(self) -> int:
        """Channels of the input tensor."""
        return 1 if self.colour == "grey" else 3

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of one input: (1, height, width, channels)."""
        return (1, self.height, self.width, self.channels)

    def to_json(self) -> dict[str, Any]:
        """Return the spec as a JSON-ready dictionary."""
        return {"format": SPEC_FORMAT, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, content: str | bytes) -> ModelSpec:
        """Read what `to_json` gave; raises `ModelError` on anything else."""
        try:
            data = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"model metadata is not JSON: {error}") from error
        written = data.pop("format", None) if isinstance(data, dict) else None
        if type(written) is not int or written < 1:  # not isinstance: True is an int
            raise ModelError("model metadata is not an emo-toolkit spec")
        if written > SPEC_FORMAT:
            raise ModelError("the model was written by a newer emo-toolkit: upgrade this one")
        try:
            return cls(**{name: _checked(name, value) for name, value in data.items()})
        except (TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"model metadata: {error}") from error


def _checked(name: str, value: Any) -> Any:
    """Return `value` in the type of field `name`; raises `TypeError` or `ValueError`."""
    kind = {f.name: f.type for f in dataclasses.fields(ModelSpec)}.get(name)
    if kind is None:
        raise TypeError(f"unknown field {name!r}")
    if kind == "tuple[str, ...]" and isinstance(value, list):
        return tuple(_checked("minimum_runtime", item) for item in value)
    if kind == "tuple[float, float]" and isinstance(value, list) and len(value) == 2:
        return tuple(_checked("crop_margin", item) for item in value)
    if kind == "float" and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError(f"{name} is not finite")
        return float(value)
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind in ("str", "Colour", "Output") and isinstance(value, str):
        return value
    if kind == "Mapping[str, Any]" and isinstance(value, dict):
        return value
    raise TypeError(f"{name} has the wrong type")
