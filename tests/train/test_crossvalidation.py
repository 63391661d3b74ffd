from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emo_edge.faces import Faces, one_hot
from emo_edge.spec import ModelSpec
from emo_train.cli import app
from emo_train.data import load_evaluation, open_layout, prepare_splits
from emo_train.data.folds import deal, fold_of
from running import assert_done, assert_refused, call, draw_faces

TINY = (
    "--architecture",
    "plain-micro",
    "--batch-size",
    "8",
    "--epochs",
    "1",
    "--cross-validate",
    "2",
)


def faces_of(pixels: np.ndarray, truth: np.ndarray) -> Faces:
    names = tuple(str(row) for row in range(len(truth)))
    return Faces(pixels.astype(np.uint8).reshape(-1, 1, 1, 1), one_hot(truth, 3), names)


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2)), min_size=10, max_size=80),
    st.integers(2, 6),
    st.integers(0, 9),
)
def test_copies_share_a_fold_and_classes_are_spread(
    faces: list[tuple[int, int]], folds: int, seed: int
) -> None:
    pixels, truth = np.array(faces).T
    dealt = deal(faces_of(pixels, truth), folds, seed)
    assert set(dealt) <= set(range(folds))
    for value in set(pixels):
        assert len(set(dealt[pixels == value])) == 1
    first_of_each = np.unique(pixels, return_index=True)[1]
    for kind in set(truth[first_of_each]):
        counts = np.bincount(dealt[first_of_each][truth[first_of_each] == kind], minlength=folds)
        assert np.ptp(counts) <= 1


def faces_in(archive: Path) -> set[bytes]:
    with np.load(archive) as file:
        return {face.tobytes() for face in file["pixels"]}


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the cross-validation of a tree of 2 x 12 faces of which two are copies."""
    root = tmp_path_factory.mktemp("folds")
    for seed, label in enumerate(("happy", "sad")):
        paths = draw_faces(root / "faces" / label, 12, seed=seed)
        paths[1].write_bytes(paths[0].read_bytes())
    assert_done(call(app, "--data", root / "faces", "--out", root / "run", *TINY))
    return root / "run"


def test_every_face_is_scored_once_by_a_model_that_never_saw_it(validated: Path) -> None:
    scored = [faces_in(validated / f"fold-{n}" / "evaluation.npz") for n in (1, 2)]
    assert not scored[0] & scored[1]
    assert len(scored[0] | scored[1]) == 22
    for mine, fold in zip(scored, ("fold-1", "fold-2"), strict=True):
        # Few enough faces that all training faces calibrate.
        assert not mine & faces_in(validated / fold / "calibration.npz")


def test_the_model_of_a_fold_is_scored_again_on_its_own_faces_alone(validated: Path) -> None:
    place = validated / "fold-2"
    spec = ModelSpec.from_json((place / "spec.json").read_bytes())
    evaluation = load_evaluation(validated.parent / "faces", spec)
    with np.load(place / "evaluation.npz") as file:
        assert list(evaluation.faces.names) == list(file["names"])


def test_mean_and_spread_are_those_of_the_folds(validated: Path) -> None:
    metrics = json.loads((validated / "metrics.json").read_text())
    folds = [json.loads((validated / f"fold-{n}" / "metrics.json").read_text()) for n in (1, 2)]
    values = [fold["top1"] for fold in folds]
    spread = metrics["scores"]["top1"]
    assert spread["mean"] == pytest.approx(np.mean(values), abs=1e-4)
    assert spread["std"] == pytest.approx(np.std(values, ddof=1), abs=1e-4)
    assert metrics["images"] == sum(fold["images"] for fold in folds)
    assert "2 folds" in metrics["protocol"]["scored_on"]
    assert (validated / "folds.png").stat().st_size > 1000


def test_an_interrupted_cross_validation_keeps_what_is_finished(validated: Path) -> None:
    metrics, first = validated / "metrics.json", validated / "fold-1" / "spec.json"
    before, stamp = metrics.read_bytes(), first.stat().st_mtime_ns
    metrics.unlink()
    second = validated / "fold-2"
    for path in second.iterdir():
        if path.name != "config.json":
            path.unlink()
    assert_done(call(app, "--resume", validated))
    assert metrics.read_bytes() == before
    assert first.stat().st_mtime_ns == stamp
    assert_refused(call(app, "--resume", validated), 2, "nothing to resume")


def test_folds_of_pictures_that_changed_are_not_pooled(tmp_path: Path) -> None:
    for seed, label in enumerate(("happy", "sad")):
        draw_faces(tmp_path / "faces" / label, 12, seed=seed)
    out = tmp_path / "run"
    assert_done(call(app, "--data", tmp_path / "faces", "--out", out, *TINY))
    (out / "metrics.json").unlink()
    shutil.rmtree(out / "fold-2")
    draw_faces(tmp_path / "faces" / "sad", 20, seed=7)
    assert_refused(call(app, "--resume", out), 3, "changed since", str(out))
    assert not (out / "fold-2").exists()


def test_a_given_test_split_stays_apart(drawn: Path) -> None:
    spec = ModelSpec(labels=("happy", "sad"), height=48, width=48)
    dataset = prepare_splits(open_layout(drawn), spec, 0)
    folds = [fold_of(dataset, number, 3, 0, whole=False) for number in (1, 2, 3)]
    names = {name for fold in folds for name in fold.splits["test"].names}
    given = {name for split in ("train", "validation") for name in dataset.splits[split].names}
    assert names == given


def test_more_folds_than_faces_of_a_class_are_refused(tmp_path: Path) -> None:
    for seed, label in enumerate(("happy", "sad")):
        draw_faces(tmp_path / "faces" / label, 4 + 8 * seed, seed=seed)
    options = ("--data", tmp_path / "faces", "--out", tmp_path / "run", "--cross-validate", "5")
    assert_refused(call(app, *options), 3, "class happy", "5 folds")


def test_teachers_are_refused(tmp_path: Path, drawn: Path) -> None:
    options = ("--data", drawn, "--out", tmp_path / "run", "--teacher", tmp_path)
    assert_refused(call(app, *options, "--cross-validate", "2"), 2, "--teacher")
