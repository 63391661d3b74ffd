"""New faces for a student, of pairs of training faces (`train/teachers`)."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest
import typer
from numpy.typing import NDArray

from emo_edge.spec import ModelSpec
from emo_train.cli import app
from emo_train.data.fer2013 import FER_LABELS, FERPLUS_LABELS
from running import assert_done, call

SIDE = 48


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "train" / "teachers")
    return importlib.import_module("composites")


def faces(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 1), np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """24 training faces and 16 others on whose first, second, third ... class ten people agree."""
    folder = tmp_path / "data"
    folder.mkdir()
    for seed, (name, count) in enumerate((("train", 24), ("val", 16))):
        labels = np.arange(count) % 8
        votes = np.zeros((count, 10), np.uint8)
        votes[np.arange(count), labels] = 10
        pixels = faces(count, seed)[..., 0]
        np.savez(folder / f"{name}.npz", images=pixels, labels=labels % 7, ferplus=votes)
    return folder


def teacher(folder: Path, labels: tuple[str, ...], answer: int) -> Path:
    """A run that is all but sure of one class, whatever the face."""
    inputs = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    bias = np.where(np.arange(len(labels)) == answer, 8.0, 0.0)
    head = keras.layers.Dense(
        len(labels), kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(bias)
    )
    folder.mkdir()
    keras.Model(inputs, head(x)).save(folder / "model.keras")
    spec = ModelSpec(labels=labels, height=SIDE, width=SIDE, temperature=2.0)
    (folder / "spec.json").write_text(json.dumps(spec.to_json()))
    return folder


def composed(
    module: ModuleType, some: NDArray[np.uint8], count: int, seed: int
) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    pairs = module.drawn_pairs(np.zeros(len(some), np.int64), count, rng)
    return np.asarray(module.composites(some, pairs, rng))


def test_rare_classes_are_paired_by_the_square_root_of_their_share(module: ModuleType) -> None:
    truth = np.repeat([0, 2, 3], [2500, 100, 400])  # nobody voted for class 1
    rng = np.random.default_rng(0)
    even, rooted = (module.drawn_pairs(truth, 40_000, rng, balanced=wish) for wish in (False, True))
    counts = [np.bincount(truth[pairs].ravel(), minlength=4) / 80_000 for pairs in (even, rooted)]
    np.testing.assert_allclose(counts[0], np.array([25, 0, 1, 4]) / 30, atol=0.01)
    np.testing.assert_allclose(counts[1], np.array([5, 0, 1, 2]) / 8, atol=0.01)
    assert even.shape == rooted.shape == (40_000, 2)


@pytest.mark.parametrize("kind", range(3))
def test_each_part_comes_from_its_face(
    module: ModuleType, kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MASKS", module.MASKS[kind : kind + 1])
    dark_top = np.full((SIDE, SIDE, 1), 90, np.uint8)
    dark_top[:24] = 50
    made = composed(module, dark_top[None], 40, seed=0)
    np.testing.assert_array_equal(made, np.repeat(dark_top[None], 40, axis=0))  # of one face: it
    spots = np.full((2, SIDE, SIDE, 1), 100, np.uint8)
    spots[0, 4:8, 4:8], spots[1, 40:44, 40:44] = 200, 200  # as bright, one above, one below
    mixed = composed(module, spots, 200, seed=0).astype(int)
    assert len(np.unique(mixed.reshape(200, -1), axis=0)) > 5
    if kind == 1:  # above the seam one face, below it another
        assert ((mixed[:, 6, 6] == 200) & (mixed[:, 42, 42] == 200)).any()
        assert not ((mixed[:, 6, 6] > 101) & (mixed[:, 6, 6] < 199)).any()


def test_the_folder_trains_a_student(module: ModuleType, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "composites"
    module.main(teacher(tmp_path / "run", FERPLUS_LABELS, 5), data, out, count=40, seed=3)
    with np.load(out / "train.npz") as train, np.load(out / "val.npz") as validation:
        assert train["images"].shape == (64, SIDE, SIDE, 1)
        np.testing.assert_array_equal(train["images"][:24, ..., 0], faces(24)[..., 0])
        sure = np.exp(4) / (np.exp(4) + 7)
        assert (train["ferplus"][24:, 5] == round(250 * sure)).all()
        own = train["ferplus"][np.arange(24), np.arange(24) % 8]
        assert (own >= 125).all()  # half of the answer is the votes
        assert (train["ferplus"][:24, 5] >= round(125 * sure) - 1).all()
        assert (validation["ferplus"].argmax(axis=1) == np.arange(16) % 8).all()
    words = ["--labels", "ferplus-soft", "--architecture", "plain-micro", "--epochs", "1"]
    assert_done(call(app, "--data", out, *words, "--out", tmp_path / "student"))
    # The card of every model made of it says so.
    known = json.loads((tmp_path / "student" / "spec.json").read_text())["training"]["metrics"]
    assert known["data"]["note"].startswith("Of the training faces 40 are composites of two")
    assert "the teacher `run` answers. Those of the other 24 are" in known["data"]["note"]


def test_the_features_of_the_teacher_go_with_the_faces(
    module: ModuleType, data: Path, tmp_path: Path
) -> None:
    out, file = tmp_path / "composites", tmp_path / "features.npz"
    run = teacher(tmp_path / "run", FERPLUS_LABELS, 5)
    module.main(run, data, out, count=40, seed=3, features=file)
    with np.load(out / "train.npz") as train, np.load(file) as kept:
        # The one thing that this teacher sees of a face.
        means = train["images"].mean(axis=(1, 2, 3))[:, None]
        np.testing.assert_allclose(kept["features"], means, rtol=1e-3)
    words = ["--labels", "ferplus-soft", "--architecture", "plain-micro", "--epochs", "1"]
    words += ["--input-size", "24", "--teacher-weight", "0", "--feature-weight", "1"]
    taught = ("--teacher", file, "--out", tmp_path / "student")
    assert_done(call(app, "--data", out, *words, *taught))


@pytest.mark.parametrize(
    ("place", "words"), [("composites/features.npz", "is inside"), ("features", "end in .npz")]
)
def test_features_have_their_place(
    module: ModuleType, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    place: str, words: str,
) -> None:  # fmt: skip
    run = teacher(tmp_path / "run", FERPLUS_LABELS, 5)
    with pytest.raises(typer.Exit) as refused:
        module.main(run, data, tmp_path / "composites", count=1, features=tmp_path / place)
    assert refused.value.exit_code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "composites").exists()


def test_the_same_seed_gives_the_same_faces(module: ModuleType) -> None:
    one, two, other = (composed(module, faces(9), 30, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_what_is_no_teacher_of_these_classes_is_refused(
    module: ModuleType, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fer = teacher(tmp_path / "fer", FER_LABELS, 0)
    for run, code, words in ((fer, 2, "other classes"), (data, 3, "no finished run")):
        with pytest.raises(typer.Exit) as refused:
            module.main(run, data, tmp_path / "out", count=4, seed=0)
        assert refused.value.exit_code == code
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(
    module: ModuleType, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (data / "train.npz").read_bytes()
    with pytest.raises(typer.Exit) as refused:
        module.main(teacher(tmp_path / "run", FERPLUS_LABELS, 0), data, data, count=4, seed=0)
    assert refused.value.exit_code == 2
    assert "is there already" in capsys.readouterr().err
    assert (data / "train.npz").read_bytes() == before
