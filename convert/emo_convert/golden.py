"""Golden vectors: synthetic inputs whose answers tell a healthy runtime from a broken one."""

from __future__ import annotations

import cv2
import numpy as np

from emo_edge.contract import Image, Probabilities
from emo_edge.modelfile import Golden
from emo_edge.spec import ModelSpec

CANDIDATES = 96
KEPT = 8
GRIDS = (3, 5, 9, 17)


def candidates(spec: ModelSpec) -> Image:
    """Return random smooth textures uint8[96,height,width,channels], from fine to coarse.

    No training picture may travel in a model file, so the vectors are drawn.
    """
    rng = np.random.default_rng(0)
    textures = []
    for number in range(CANDIDATES):
        grid = GRIDS[number % len(GRIDS)]
        coarse = rng.integers(0, 256, (grid, grid, spec.channels), np.uint8)
        texture = cv2.resize(
            coarse, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR_EXACT
        )
        textures.append(texture.reshape(spec.input_shape[1:]))
    return np.asarray(np.stack(textures), np.uint8)


def choose(pixels: Image, answers: Probabilities) -> Golden:
    """Keep the candidates with the clearest winners, spread over the answered classes.

    Where a class wins no candidate clearly, none of its candidates is preferred: a narrow decision
    says nothing about a runtime.
    """
    all_of_them = Golden(pixels, answers)
    order = np.argsort(-all_of_them.margins, kind="stable")
    winners = answers.argmax(axis=1)
    first_of_class = {
        int(winners[row]): row for row in reversed(order) if all_of_them.decisive[row]
    }
    rest = [row for row in order if row not in set(first_of_class.values())]
    rows = np.array([*first_of_class.values(), *rest][:KEPT])
    return Golden(pixels[rows], answers[rows])
