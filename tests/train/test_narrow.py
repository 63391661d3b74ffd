"""A student that begins with what its teacher knows (`train/teachers/narrow.py`)."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import cv2
import keras
import numpy as np
import pytest
import typer

from emo_train.cli import app
from emo_train.models import build_model, mobilenet
from emo_train.models.mobilenet import Widths
from running import assert_done, call, draw_faces

DOUBLE, SINGLE = Widths(4, (8, 12)), Widths(2, (4, 6))


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "train" / "teachers")
    return importlib.import_module("narrow")


@pytest.fixture
def teacher(narrow: ModuleType) -> keras.Model:
    """The MobileNet of the teacher, with random weights that let pixels through."""
    keras.utils.set_random_seed(0)
    model = importlib.import_module("vggface2").mobilenet((48, 48, 1), 3)
    stem = model.get_layer("conv1")
    stem.set_weights([stem.get_weights()[0] / 50])  # pixels are large
    liven(model, noise(40, 48))
    return model


def liven(model: keras.Model, faces: np.ndarray) -> None:
    """Bring every channel to mean and deviation 1, so that none is always 0 or 6."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            seen = keras.Model(model.input, layer.input)(faces, training=False)
            mean, variance = (np.asarray(f(seen, (0, 1, 2))) for f in (np.mean, np.var))
            layer.set_weights([np.ones_like(mean), np.ones_like(mean), mean, variance])


def noise(count: int, side: int) -> np.ndarray:
    """Soft pictures: neighbours of a pixel are like it, as those of faces are."""
    rng = np.random.default_rng(1)
    coarse = rng.uniform(0, 255, (count, 8, 8)).astype(np.float32)
    return np.stack([cv2.resize(picture, (side, side)) for picture in coarse])[..., None]


def test_a_student_of_full_width_does_what_the_teacher_does_to_enlarged_faces(
    narrow: ModuleType, teacher: keras.Model
) -> None:
    faces = noise(4, 64)
    wide = narrow.unenlarged(teacher, 64)
    enlarged = keras.ops.image.resize(faces, (128, 128), interpolation="bilinear")
    theirs = keras.Model(teacher.get_layer("clip").output, teacher.get_layer("conv_dw_1_bn").output)
    ours = keras.Model(wide.input, narrow.pairs(wide)[1][1].output)
    expected = np.asarray(theirs(enlarged, training=False))
    got = np.asarray(ours(faces, training=False))
    assert expected.std() > 0.1
    inner = slice(2, -2)  # at the edges one sees grey beyond the picture, the other black
    np.testing.assert_allclose(got[:, inner, inner], expected[:, inner, inner], atol=1e-3)
    np.testing.assert_array_equal(
        wide.layers[-1].get_weights()[0], teacher.layers[-1].get_weights()[0]
    )


def test_channels_that_others_tell_leave_without_a_loss(narrow: ModuleType) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(500, 4))
    inputs = np.column_stack([inputs, inputs @ rng.normal(size=(4, 3))])
    useless = rng.normal(size=(500, 2))
    outputs = inputs @ rng.normal(size=(7, 5)) + 3
    kept = narrow.kept_channels(np.column_stack([inputs, useless]), outputs, 4)
    assert len(kept) == 4
    assert max(kept) < 7
    weights, bias = narrow.fitted(inputs[:, kept], outputs)
    np.testing.assert_allclose(inputs[:, kept] @ weights + bias, outputs, atol=0.01)


def test_a_net_whose_channels_are_there_twice_answers_the_same_at_half_the_width(
    narrow: ModuleType,
) -> None:
    keras.utils.set_random_seed(0)
    shape = (24, 24, 1)
    wide = mobilenet.build_widths(DOUBLE, shape, 3, 0.0, "wide")
    for place, (conv, _) in enumerate(narrow.pairs(wide)):
        (kernel,) = conv.get_weights()
        axis = 2 if place % 2 else 3  # depthwise kernels end in a 1
        half = np.split(kernel, 2, axis)[0]
        conv.set_weights([np.concatenate([half, half], axis)])
    liven(wide, noise(40, 24))
    student = mobilenet.build_widths(SINGLE, shape, 3, 0.0, "narrow")
    faces = noise(300, 24)
    narrow.narrow(wide, student, SINGLE, faces)

    def features(net: keras.Model) -> np.ndarray:
        return np.asarray(keras.Model(net.input, net.layers[-3].output)(faces, training=False))

    ours, theirs = features(student), features(wide)
    assert theirs.std(axis=0).min() > 1e-3
    twins = [np.abs(theirs - column[:, None]).max(axis=0).min() for column in ours.T]
    assert max(twins) < 0.02 * theirs.std()


def test_emo_train_goes_on_from_a_narrow_net(
    narrow: ModuleType,
    teacher: keras.Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for seed, name in enumerate(("happy", "sad")):
        draw_faces(tmp_path / "data" / name, 12, seed=seed)
    (tmp_path / "teacher").mkdir()
    teacher.save(tmp_path / "teacher" / "model.keras")
    # Narrower yet: choosing among 512 channels takes its time.
    tiny = Widths(8, (8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8))
    monkeypatch.setitem(mobilenet.ARCHITECTURES, "mobilenet-base", tiny)
    out = tmp_path / "narrow.keras"
    narrow.main(tmp_path / "teacher", tmp_path / "data", out, "mobilenet-base", 32)
    assert "block 12" in capsys.readouterr().err
    begun = keras.saving.load_model(out)
    assert begun.input_shape == (None, 32, 32, 1)
    words = ["--architecture", "mobilenet-base", "--input-size", "32", "--weights", out]
    run = tmp_path / "run"
    assert_done(call(app, "--data", tmp_path / "data", *words, "--epochs", "1", "--out", run))
    kept = keras.saving.load_model(run / "model.keras")
    for (ours, _), (theirs, _) in zip(narrow.pairs(kept), narrow.pairs(begun), strict=True):
        np.testing.assert_allclose(ours.get_weights()[0], theirs.get_weights()[0], atol=0.1)


def test_a_teacher_of_another_kind_is_refused(
    narrow: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_faces(tmp_path / "data" / "happy", 6, seed=0)
    (tmp_path / "run").mkdir()
    build_model("plain-micro", (48, 48, 1), 2, 0.0).save(tmp_path / "run" / "model.keras")
    out = tmp_path / "out.keras"
    with pytest.raises(typer.Exit) as refused:
        narrow.main(tmp_path / "run", tmp_path / "data", out, "mobilenet-base", 56)
    assert refused.value.exit_code == 3
    assert "is not the MobileNet of vggface2.py" in capsys.readouterr().err
    with pytest.raises(typer.Exit) as refused:
        narrow.main(tmp_path / "run", tmp_path / "data", out, "base", 56)
    assert refused.value.exit_code == 2
    assert "choose from mobilenet-small, mobilenet-base" in capsys.readouterr().err
    assert not out.exists()
