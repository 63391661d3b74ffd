"""One small class per way of reading an expression; each is imported in an environment of its own.

Every adapter has `labels` (names as FER2013 has them), `classify(face)`, which takes a face crop
uint8[H,W,3] BGR and returns probabilities in the order of `labels`, and, where the peer is a whole
program, `watch(frame)`, which takes a whole frame and returns how many faces it read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

FER_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
# What others call them.
SYNONYMS = {
    "anger": "angry",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}


def names(labels: Sequence[str]) -> tuple[str, ...]:
    """Return labels by the names of FER2013."""
    return tuple(SYNONYMS.get(label.lower(), label.lower()) for label in labels)


class Fer:
    """The `fer` package as its README shows it; `offsets=(0, 0)` is its option for face crops."""

    labels = FER_LABELS

    def __init__(self, mtcnn: str = "") -> None:
        from fer.fer import FER  # 25.10 lost the name that the README imports

        self._make, self._detector = FER, FER(mtcnn=bool(mtcnn))
        self._for_crops: Any = None

    def watch(self, frame: Any) -> int:
        """Return how many faces were read in uint8[H,W,3] BGR."""
        return len(self._detector.detect_emotions(frame))

    def classify(self, face: Any) -> list[float]:
        """Return the probabilities of a crop."""
        self._for_crops = self._for_crops or self._make(offsets=(0, 0))
        height, width = face.shape[:2]
        whole = [(0, 0, width, height)]
        emotions = self._for_crops.detect_emotions(face, face_rectangles=whole)[0]["emotions"]
        return [emotions[label] for label in self.labels]


class DeepFace:
    """The `deepface` package: `analyze` with its default detector, or none for crops."""

    labels = FER_LABELS

    def __init__(self) -> None:
        import deepface.DeepFace

        self._package = deepface.DeepFace

    def watch(self, frame: Any) -> int:
        """Return how many faces were read in uint8[H,W,3] BGR."""
        return sum(face["face_confidence"] > 0 for face in self._analyse(frame, "opencv"))

    def classify(self, face: Any) -> list[float]:
        """Return the probabilities of a crop."""
        percent = self._analyse(face, "skip")[0]["emotion"]
        return [percent[label] / 100 for label in self.labels]

    def _analyse(self, image: Any, detector: str) -> list[dict[str, Any]]:
        found = self._package.analyze(
            image,
            actions=("emotion",),
            detector_backend=detector,
            enforce_detection=False,
            silent=True,
        )
        return list(found)


class HSEmotion:
    """The `hsemotion-onnx` package, EfficientNet-B0 on AffectNet."""

    def __init__(self) -> None:
        import urllib.request  # noqa: F401 (the package uses it without importing it)

        from hsemotion_onnx.facial_emotions import HSEmotionRecognizer

        self._model = HSEmotionRecognizer(model_name="enet_b0_8_best_vgaf")
        classes = self._model.idx_to_class
        self.labels = names([classes[index] for index in sorted(classes)])

    def classify(self, face: Any) -> Any:
        """Return the probabilities of a crop."""
        rgb = cv2.cvtColor(face, cv2.COLOR_BGR2RGB)
        return self._model.predict_emotions(rgb, logits=False)[1]


class EmoToolkit:
    """This project: a shipped net and the whole loop, as `emo-edge` runs it untuned."""

    def __init__(self, model: str, detector: str) -> None:
        from emo_edge import Classifier
        from emo_edge.detectors import make_detector
        from emo_edge.footprint import drop_idle_code, share_one_heap

        share_one_heap()
        drop_idle_code()
        self._classifier = Classifier(model)
        self._detector = make_detector(detector)
        self.labels = names(self._classifier.spec.labels)

    def classify(self, face: Any) -> Any:
        """Return the probabilities of a crop."""
        return self._classifier(face)

    def first(self, picture: str) -> None:
        """Read one picture, as `emo-edge --source PICTURE` does."""
        self._run(picture, 1)

    def stream(self, video: str, frames: int) -> Iterator[int]:
        """Yield how many faces were read in each frame."""
        yield from self._frames(video, frames)

    def _run(self, source: str, frames: int) -> None:
        for _ in self._frames(source, frames):
            pass

    def _frames(self, text: str, frames: int) -> Iterator[int]:
        from emo_edge import open_source, readings
        from emo_edge.footprint import drop_idle_code

        spec = self._classifier.spec
        with open_source(text) as source:
            drop_idle_code()
            loop = readings(source, self._detector, self._classifier, spec)
            for number, (_, found) in enumerate(loop, start=1):
                yield len(found)
                if number == frames:
                    return


class _Bare:
    """A model without a program around it: grey or RGB, scaled linearly, resized by OpenCV."""

    def __init__(self, model: str, labels: str, low: str, high: str) -> None:
        self.labels = names(labels.split(","))
        self._low, self._high = float(low), float(high)
        self.load(model)

    def load(self, model: str) -> None:
        """Load the model and set `_shape` to its input (1, height, width, channels)."""
        raise NotImplementedError

    def run(self, pixels: Any) -> Any:
        """Return the answers to float32[1,height,width,channels]."""
        raise NotImplementedError

    def classify(self, face: Any) -> Any:
        """Return the probabilities of a crop."""
        _, height, width, channels = self._shape
        code = cv2.COLOR_BGR2GRAY if channels == 1 else cv2.COLOR_BGR2RGB
        image = cv2.resize(cv2.cvtColor(face, code), (width, height))
        scaled = self._low + image.astype(np.float32) * ((self._high - self._low) / 255)
        answers = np.ravel(self.run(scaled.reshape(self._shape)))
        if len(answers) != len(self.labels):
            raise ValueError(f"{len(answers)} answers for {len(self.labels)} labels")
        return answers

    _shape: tuple[int, ...]


class Keras(_Bare):
    """A .keras, .h5 or .hdf5 model, called: for one face far cheaper than its `predict`."""

    def load(self, model: str) -> None:
        """Load with the Keras of this environment."""
        import keras

        self._model = keras.models.load_model(model, compile=False)
        self._shape = (1, *self._model.input_shape[1:])

    def run(self, pixels: Any) -> Any:
        """Return the answers."""
        return self._model(pixels, training=False)


class TFLite(_Bare):
    """A .tflite from anywhere with a float or quantised input."""

    def load(self, model: str) -> None:
        """Load with tflite-runtime, one thread."""
        from tflite_runtime.interpreter import Interpreter

        self._engine = Interpreter(model_path=model, num_threads=1)
        self._engine.allocate_tensors()
        self._input = self._engine.get_input_details()[0]
        self._output = self._engine.get_output_details()[0]
        self._shape = tuple(int(n) for n in self._input["shape"])

    def run(self, pixels: Any) -> Any:
        """Return the answers, dequantised where they are integers."""
        kind = np.dtype(self._input["dtype"])
        if kind.kind != "f":
            scale, zero = self._input["quantization"]
            limits = np.iinfo(kind)
            pixels = np.clip(np.round(pixels / scale) + zero, limits.min, limits.max)
        self._engine.set_tensor(self._input["index"], pixels.astype(kind))
        self._engine.invoke()
        answers = self._engine.get_tensor(self._output["index"]).astype(np.float32)
        scale, zero = self._output["quantization"]
        return (answers - zero) * scale if scale else answers


class OnnxRuntime(_Bare):
    """An .onnx model through onnxruntime, one thread."""

    def load(self, model: str) -> None:
        """Load on the CPU."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0]
        self._stored, self._shape = onnx_shapes(self._input.shape)

    def run(self, pixels: Any) -> Any:
        """Return the answers."""
        return self._session.run(None, {self._input.name: as_stored(pixels, self._stored)})[0]


class OpenCV(_Bare):
    """An .onnx model through OpenCV's DNN module, one thread."""

    def load(self, model: str) -> None:
        """Load; the input's shape is read from a JSON file beside the model (see convert.py)."""
        cv2.setNumThreads(1)
        self._network = cv2.dnn.readNetFromONNX(model)
        shape = json.loads(Path(f"{model}.json").read_text(encoding="utf-8"))["input_shape"]
        self._stored, self._shape = onnx_shapes(shape)

    def run(self, pixels: Any) -> Any:
        """Return the answers."""
        self._network.setInput(as_stored(pixels, self._stored))
        return self._network.forward()


def onnx_shapes(shape: Sequence[Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return an ONNX input shape with a batch of 1 as it is stored and as NHWC."""
    stored = (1, *(int(n) for n in shape[1:]))
    if stored[1] in (1, 3) and stored[3] not in (1, 3):
        return stored, (1, stored[2], stored[3], stored[1])
    return stored, stored


def as_stored(pixels: Any, stored: tuple[int, ...]) -> Any:
    """Return NHWC pixels in the layout that the model stores."""
    if pixels.shape == stored:
        return pixels
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


ADAPTERS: dict[str, Any] = {
    "fer": Fer,
    "deepface": DeepFace,
    "hsemotion": HSEmotion,
    "emo-toolkit": EmoToolkit,
    "keras": Keras,
    "tflite": TFLite,
    "onnxruntime": OnnxRuntime,
    "opencv-dnn": OpenCV,
}
