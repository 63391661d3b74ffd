"""`Classifier`: a picture and a box in, probabilities out, by the contract of the model file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from emo_edge.backends import Interpreter, find_backend
from emo_edge.contract import Box, Image, Probabilities, prepare, probabilities
from emo_edge.errors import DataError, ModelError, UsageError
from emo_edge.modelfile import Golden, ModelFile, read_labels, read_model
from emo_edge.probe import refuse_crasher
from emo_edge.shipped import find_model
from emo_edge.spec import ModelSpec

# Runtimes and CPUs differ by some steps of 1/256 in an int8 net (up to 21 seen on single values,
# the top-1 always equal), so a healthy runtime is told from a broken one by the mean and the top-1.
GOLDEN_MEAN_DIFFERENCE = 0.03


class Classifier:
    """A model file on this machine's runtime: a face in, its probabilities out.

        classify = emo_edge.Classifier("small")
        print(dict(zip(classify.spec.labels, classify(face))))

    Args:
        path: A .tflite file made by emo-convert, a plain one together with `labels`, or the name
            of a shipped net or file (`emo-edge models`).
        labels: Labels file for a plain .tflite; refused for a model that carries its own.
        input_range: What the pixels 0 and 255 become for a plain .tflite with a float input.
        backend: "auto", "tflite_runtime", "ai_edge_litert" or "tensorflow".
        threads: Threads of the runtime.
        contained: This process may die of a crafted model (another one waits for it), so that
            the model need not be tried in a child first.

    Raises:
        ModelError: no model, a damaged one, one that contradicts its metadata, or one that
            answers its golden vectors wrongly on this runtime.
        UsageError: the backend is not installed, or labels are missing or superfluous.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        labels: str | Path | None = None,
        input_range: tuple[float, float] | None = None,
        backend: str = "auto",
        threads: int = 1,
        contained: bool = False,
    ) -> None:
        self.path = find_model(path) if isinstance(path, str) else path
        model = read_model(self.path)
        labels = None if labels is None else Path(labels)
        scaling = _input_range(model, self.path, labels, input_range)
        runtime = find_backend(backend)
        if not contained:
            refuse_crasher(self.path, runtime)
        self.interpreter = Interpreter(model.flatbuffer, runtime, threads, scaling)
        self.spec = model.spec or _plain_spec(self.interpreter, self.path, labels, scaling)
        _refuse_contradiction(self.interpreter, self.spec, self.path)
        if model.golden is not None:
            self._refuse_wrong_answers(model.golden)

    def __call__(self, image: Image, box: Box | None = None) -> Probabilities:
        """Classify one face.

        Args:
            image: uint8[H,W,3] BGR, uint8[H,W,1] or uint8[H,W] grey.
            box: The face in pixels of `image`; None if the picture is a face crop already. Faces of
                a whole picture are found by `emo_edge.make_detector` or `emo_edge.stream`.

        Returns:
            float32[n] in the order of `spec.labels`, summing to 1.

        Raises:
            DataError: `image` is not such a picture.
        """
        shape = np.shape(image)
        fits = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))
        if not (fits and min(shape) and getattr(image, "dtype", None) == np.uint8):
            kind = getattr(image, "dtype", type(image).__name__)
            raise DataError(
                f"a picture is uint8[H,W,3] BGR or uint8[H,W] grey, not {kind}{list(shape)}; "
                "read one with emo_edge.read_image(path)"
            )
        return self.classify(prepare(image, self.spec, box))

    def classify(self, pixels: Image) -> Probabilities:
        """Classify pixels that `prepare` made: uint8[1,height,width,channels] -> float32[n].

        Raises `ModelError` if the model answers with NaN or infinity.
        """
        answer = probabilities(self.interpreter.run(pixels), self.spec)
        if not np.isfinite(answer).all():
            raise ModelError(
                f"{self.path} answers with values that are not numbers on "
                f"{self.interpreter.backend.version}; try another --backend, or convert it again"
            )
        return answer

    def golden_difference(self, golden: Golden) -> tuple[float, int]:
        """Return the mean |difference| of the probabilities and how many decisive top-1 differ."""
        answers = np.stack([self.classify(pixels[None]) for pixels in golden.pixels])
        difference = float(np.abs(answers - golden.probabilities).mean())
        turned = answers.argmax(axis=1) != golden.probabilities.argmax(axis=1)
        return difference, int((turned & golden.decisive).sum())

    def _refuse_wrong_answers(self, golden: Golden) -> None:
        difference, wrong = self.golden_difference(golden)
        # Written so that NaN fails too.
        if wrong or not difference <= GOLDEN_MEAN_DIFFERENCE:
            raise ModelError(
                f"{self.interpreter.backend.version} answers {wrong} of {len(golden.pixels)} "
                f"golden vectors of {self.path} wrongly (mean |dp| {difference:.3f}); "
                "try another --backend, or convert the model again"
            )


def _input_range(
    model: ModelFile,
    path: Path,
    labels: Path | None,
    input_range: tuple[float, float] | None,
) -> tuple[float, float]:
    """Return the input range by the metadata, or by the options of a plain model."""
    if model.spec is not None:
        if labels is not None or input_range is not None:
            raise UsageError(
                f"{path} carries its own labels and input range: leave the options out"
            )
        return model.spec.input_range
    if labels is None:
        raise UsageError(
            f"{path} carries no emo-toolkit metadata (a plain .tflite, or a truncated copy): "
            "give --labels FILE, or copy the file again"
        )
    return input_range or (0.0, 255.0)


def _plain_spec(
    interpreter: Interpreter, path: Path, labels: Path | None, input_range: tuple[float, float]
) -> ModelSpec:
    """Describe a plain .tflite by its tensors."""
    assert labels is not None  # _input_range refused it
    if len(interpreter.input_shape) != 4 or interpreter.input_shape[3] not in (1, 3):
        raise ModelError(f"{path} takes {interpreter.input_shape}, not (1, height, width, 1 or 3)")
    _, height, width, channels = interpreter.input_shape
    try:
        spec = ModelSpec(
            labels=read_labels(labels),
            height=height,
            width=width,
            colour="grey" if channels == 1 else "rgb",
            input_range=input_range,
        )
    except ModelError as error:  # it speaks of metadata; here the options are what describes
        words = str(error).removeprefix("model metadata: ")
        raise UsageError(f"--labels {labels} and --input-range: {words}") from error
    # Only a softmax gives non-negative outputs that sum to 1 for an arbitrary picture.
    output = interpreter.run(np.full(spec.input_shape, 128, np.uint8))
    softmax = bool((output >= 0).all() and abs(float(output.sum()) - 1) < 0.05)
    return dataclasses.replace(spec, output="probabilities" if softmax else "logits")


def _refuse_contradiction(interpreter: Interpreter, spec: ModelSpec, path: Path) -> None:
    if interpreter.input_shape != spec.input_shape:
        raise ModelError(
            f"{path} takes {interpreter.input_shape} but its metadata says {spec.input_shape}"
        )
    if interpreter.output_shape != (1, len(spec.labels)):
        raise ModelError(
            f"{path} gives {interpreter.output_shape} but has {len(spec.labels)} labels"
        )
