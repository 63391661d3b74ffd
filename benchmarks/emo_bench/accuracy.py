"""How right a model is: the device's preprocessing and interpreter over labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emo_bench.results import identity
from emo_edge.backends import find_backend
from emo_edge.errors import UsageError
from emo_edge.metrics import summary, top1
from emo_edge.modelfile import read_model
from emo_edge.score import score_in_own_process
from emo_edge.spec import ModelSpec
from emo_train.data import Evaluation, load_evaluation
from emo_train.fer2013 import LabelKind, fer_labels, is_fer2013, load_fer2013_evaluation


def measure(model: Path, data: Path, backend: str) -> dict[str, Any]:
    """Return the scores of `model` on the split of `data` that is for scoring."""
    spec = read_model(model).spec
    if spec is None:
        raise UsageError(f"{model} carries no emo-toolkit metadata: convert it with emo-convert")
    evaluation = _evaluation(data, spec)
    faces, seen = evaluation.faces, evaluation.seen
    scored = score_in_own_process(model, faces.pixels, find_backend(backend).name)
    result = {
        **identity(model),
        "runtime": scored.runtime,
        "data": str(data),
        "protocol": {"scored_on": evaluation.origin, "crops": "single"},
        **summary(scored.probabilities, faces.truth, spec.labels),
    }
    if seen.any() and not seen.all():
        unseen = top1(scored.probabilities[~seen], faces.truth[~seen])
        result["without_training_duplicates"] = {
            "images": int((~seen).sum()),
            "top1": round(unseen, 4),
        }
        result["warnings"] = [
            f"{int(seen.sum())} of these faces are copies of training faces; without them top-1 "
            f"{unseen:.1%} of {int((~seen).sum())}"
        ]
    return result


def _evaluation(data: Path, spec: ModelSpec) -> Evaluation:
    if not is_fer2013(data):
        return load_evaluation(data, spec)
    kinds: tuple[LabelKind, ...] = ("fer", "ferplus")
    for kind in kinds:
        if spec.labels == fer_labels(kind):
            return load_fer2013_evaluation(data, spec, kind)
    raise UsageError(f"the model's labels ({', '.join(spec.labels)}) are not those of FER2013")
