"""Accuracy against crop margin, through the real detectors: is the device's crop the trained one?

A model learns from crops that somebody else made. On the device a detector boxes the face, and the
crop margin of the spec says how far beyond the box the crop reaches: the right one gives the model
what it was trained with.

Faces of a data set have no surroundings. Each is enlarged and set into a picture that goes on with
its edge pixels, as the contract itself goes on where a crop leaves the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from emo_bench.accuracy.subject import Subject
from emo_bench.results import Result
from emo_edge.contract import Box, Image, prepare
from emo_edge.detectors import make_detector, usable_detectors
from emo_edge.metrics import wilson_interval
from emo_train.data import Evaluation

MARGINS = (-0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2)
FACE_SIDE = 192  # pixels: large enough for every detector
AROUND = FACE_SIDE // 2


def crop_margins(subject: Subject, trial: Evaluation) -> list[Result]:
    """Return for each detector here its share of faces found, and top-1 of these by margin."""
    return [_through(name, subject, trial) for name in usable_detectors()]


def _through(name: str, subject: Subject, trial: Evaluation) -> Result:
    find = make_detector(name)
    specs = [replace(subject.spec, crop_margin=margin) for margin in MARGINS]
    truth, crops = [], []
    for face, label in zip(trial.faces.pixels, trial.faces.truth, strict=True):
        scene = framed(face)
        box = _largest(find, scene)
        if box is not None:
            truth.append(label)
            crops += [prepare(scene, spec, box) for spec in specs]
    result: Result = {
        "detector": name,
        "faces": len(trial.faces),
        "found": len(truth),
        "margins": [],
    }
    if not truth:
        return result
    answers, _ = subject.ask(np.concatenate(crops))
    right = answers.argmax(axis=1).reshape(-1, len(MARGINS)) == np.array(truth)[:, None]
    for margin, hits in zip(MARGINS, right.sum(axis=0).tolist(), strict=True):
        top1 = round(hits / len(truth), 4)
        interval = wilson_interval(hits, len(truth))
        result["margins"].append({"margin": margin, "top1": top1, "top1_interval": interval})
    return result


def framed(face: Image) -> Image:
    """Return a face uint8[S,S,C] (grey or R, G, B) enlarged, in a picture uint8[H,W,3] BGR."""
    kind = cv2.COLOR_GRAY2BGR if face.shape[2] == 1 else cv2.COLOR_RGB2BGR
    bgr = cv2.cvtColor(face, kind)
    large = cv2.resize(bgr, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_CUBIC)
    around = (AROUND, AROUND, AROUND, AROUND)
    return np.asarray(cv2.copyMakeBorder(large, *around, cv2.BORDER_REPLICATE), np.uint8)


def _largest(find: Callable[[Image], Sequence[Box]], scene: Image) -> Box | None:
    return max(find(scene), key=lambda box: box.w * box.h, default=None)
