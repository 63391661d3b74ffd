"""One model's accuracy as it is reported."""

from __future__ import annotations

from typing import Any

import numpy as np

from emo_bench.accuracy.corruptions import CORRUPTIONS, corrupted
from emo_bench.accuracy.margins import crop_margins
from emo_bench.accuracy.paired import (
    Hits,
    drop,
    faces_digest,
    pack_hits,
    same_faces,
    unpack_hits,
)
from emo_bench.accuracy.subject import Given, Subject, open_subject
from emo_bench.accuracy.trial import Trials
from emo_bench.results import Result
from emo_edge.metrics import summary, wilson_interval
from emo_train.data import Evaluation


class Accuracy:
    """Scores models one after the other, each pairwise against the first.

    Args:
        trials: Gives the faces that score.
        given: What is said of plain models, and the runtime.
        robustness: Score corrupted faces too.
        margins: Score faces as detectors cut them too.
    """

    def __init__(
        self, trials: Trials, given: Given, *, robustness: bool = False, margins: bool = False
    ) -> None:
        self._trials, self._given = trials, given
        self._robustness, self._margins = robustness, margins
        self._first: Result | None = None

    def measure(self, text: str) -> Result:
        """Return the scores of one model. See docs/benchmarks.md."""
        subject = open_subject(text, self._given)
        trial = self._trials(subject.spec)
        answers, runtime = subject.ask(trial.faces.pixels)
        hits = np.asarray(answers.argmax(axis=1) == trial.faces.truth, np.bool_)
        result = {
            **subject.identity(),
            "runtime": runtime,
            "labels": list(subject.spec.labels),
            "protocol": _protocol(subject, trial),
            **summary(answers, trial.faces.truth, subject.spec.labels),
            "faces_sha256": faces_digest(trial.faces, subject.spec.labels),
            "hits": pack_hits(hits),
            "warnings": _warnings(hits, trial),
        }
        if trial.looked_in is not None:
            result["training_copies"] = _copies(hits, trial)
        if self._robustness:
            result["robustness"] = _robustness(subject, trial, hits)
        if self._margins:
            result["crop_margins"] = crop_margins(subject, trial)
        self._compare(result, hits)
        return result

    def _compare(self, result: Result, hits: Hits) -> None:
        first = self._first
        if first is None:
            self._first = result
        elif same_faces(first, result):
            against = drop(unpack_hits(first), hits)
            result["against_first"] = {"model": first["model"], **against}
        else:
            result["warnings"].append(f"not compared with {first['model']}: other faces or labels")


def _protocol(subject: Subject, trial: Evaluation) -> dict[str, Any]:
    spec = subject.spec
    return {
        "scored_on": trial.origin,
        "crops": "single",
        "input": [spec.height, spec.width, spec.colour],
        "temperature": spec.temperature,
        "copies_looked_for_in": trial.looked_in,
    }


def _warnings(hits: Hits, trial: Evaluation) -> list[str]:
    if not trial.seen.any():
        return []
    if trial.seen.all():
        return ["all of these faces are copies of training faces: what it makes of others is open"]
    unseen = hits[~trial.seen]
    return [
        f"{int(trial.seen.sum())} of these faces are copies of training faces; without them top-1 "
        f"{unseen.mean():.1%} of {len(unseen)}"
    ]


def _copies(hits: Hits, trial: Evaluation) -> dict[str, Any]:
    """Return the scores of the faces that training has too, and of the others."""
    return {"copies": _share(hits[trial.seen]), "others": _share(hits[~trial.seen])}


def _share(hits: Hits) -> dict[str, Any]:
    if not len(hits):
        return {"images": 0, "top1": None, "top1_interval": None}
    return {
        "images": len(hits),
        "top1": round(float(hits.mean()), 4),
        "top1_interval": wilson_interval(int(hits.sum()), len(hits)),
    }


def _robustness(subject: Subject, trial: Evaluation, clean: Hits) -> list[dict[str, Any]]:
    rows = []
    for name, corruption in CORRUPTIONS.items():
        answers, _ = subject.ask(corrupted(trial.faces.pixels, corruption))
        hits = np.asarray(answers.argmax(axis=1) == trial.faces.truth, np.bool_)
        rows.append({"corruption": name, "top1": round(float(hits.mean()), 4), **drop(clean, hits)})
    return rows
