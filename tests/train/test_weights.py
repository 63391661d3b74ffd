"""The weights that are kept (`train/weights`): packed small, and still to go on from."""

from __future__ import annotations

import importlib
from pathlib import Path

import keras
import numpy as np
import pytest

from emo_train.models import build_model
from emo_train.models.weights import take_weights

WEIGHTS = Path(__file__).parents[2] / "train" / "weights"
ARCHITECTURES = {"base": "mobilenet-base", "small": "mobilenet-small", "micro": "micro"}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_training_can_go_on_from_the_nets_that_ship(name: str) -> None:
    shipped = keras.saving.load_model(WEIGHTS / f"{name}.keras")
    fresh = build_model(ARCHITECTURES[name], shipped.input_shape[1:], 3, dropout=0.0)
    take_weights(fresh, ARCHITECTURES[name], str(WEIGHTS / f"{name}.keras"))
    pairs = zip(fresh.get_weights()[:-2], shipped.get_weights()[:-2], strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)


def test_a_packed_net_is_half_as_large_and_answers_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(WEIGHTS)
    net = build_model("micro", (48, 48, 1), 3, dropout=0.0)
    net.save(tmp_path / "net.keras")
    importlib.import_module("pack").main(tmp_path / "net.keras", tmp_path / "packed.keras")
    packed = keras.saving.load_model(tmp_path / "packed.keras")
    faces = np.random.default_rng(0).uniform(0, 255, (4, 48, 48, 1)).astype(np.float32)
    np.testing.assert_allclose(packed(faces), net(faces), atol=0.02)
    sizes = [(tmp_path / f"{name}.keras").stat().st_size for name in ("packed", "net")]
    assert sizes[0] < 0.5 * sizes[1]
