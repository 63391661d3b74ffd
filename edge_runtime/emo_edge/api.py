"""Readings as a Python generator: the loop without its outputs."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from emo_edge.classifier import Classifier
from emo_edge.detectors import make_detector
from emo_edge.pipeline import Reading, readings
from emo_edge.shipped import DEFAULT, find_model
from emo_edge.sources import open_source


def stream(
    source: str | int | Path,
    *,
    model: str | Path = DEFAULT,
    labels: str | Path | None = None,
    input_range: tuple[float, float] | None = None,
    detector: str = "auto",
    backend: str = "auto",
    threads: int = 1,
) -> Generator[Reading, None, None]:
    """Yield a `Reading` for every face of every frame, as `emo-edge` would give it.

    The source is opened at the first step, and closed when the generator ends: at the end of a
    recording, by `break`, by an exception, or by its `close()`. A camera never ends; of its frames
    only the newest is read, so that slow code between two readings skips frames and does not lag.

        for reading in emo_edge.stream("0"):
            print(reading.track, reading.label, f"{reading.confidence:.0%}")

    Args:
        source: Camera index, device, video, picture, folder, glob or stream URL.
        model: Model file, or the name of a shipped net.
        labels: Labels file of a plain .tflite.
        input_range: What the pixels 0 and 255 become for a plain .tflite with a float input.
        detector: "auto", "yunet", "haar", or "none" if the pictures are face crops.
        backend: Runtime, "auto" for the first one installed.
        threads: Threads of the runtime.

    Raises:
        EmoError: what the command line refuses, with the same words: no source, no model and so on.
    """
    find = make_detector(detector)
    classifier = Classifier(
        find_model(str(model)),
        labels=labels,
        input_range=input_range,
        backend=backend,
        threads=threads,
    )
    with open_source(str(source)) as opened:
        for _, found in readings(opened, find, classifier, classifier.spec):
            yield from found
