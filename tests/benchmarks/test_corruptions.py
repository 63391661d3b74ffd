from __future__ import annotations

import numpy as np
import pytest

from emo_bench.accuracy.corruptions import CORRUPTIONS, corrupted


def faces(channels: int, side: int = 48) -> np.ndarray:
    """Return faces with structure: a bright disc off the middle."""
    rows, columns = np.mgrid[:side, :side] / side
    disc = 40 + 180 * ((rows - 0.4) ** 2 + (columns - 0.55) ** 2 < 0.06)
    return np.repeat(disc[None, :, :, None], channels, axis=3).repeat(6, axis=0).astype(np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_corruption_changes_faces_and_keeps_their_form(name: str, channels: int) -> None:
    clean = faces(channels)
    changed = corrupted(clean, CORRUPTIONS[name])
    assert (changed.shape, changed.dtype) == (clean.shape, np.uint8)
    assert all((a != b).any() for a, b in zip(clean, changed, strict=True))
    assert np.array_equal(changed, corrupted(clean, CORRUPTIONS[name]))


@pytest.mark.parametrize("side", [48, 96])
def test_the_strength_is_a_share_of_the_face(side: int) -> None:
    clean = faces(1, side).astype(float)
    moved = corrupted(faces(1, side), CORRUPTIONS["shifted 10 %"]).astype(float)

    def middle(batch: np.ndarray) -> np.ndarray:
        weights = (batch[..., 0] > 120).astype(float)
        grid = np.indices((side, side)).reshape(2, -1) / side
        return np.stack([grid @ w.ravel() / w.sum() for w in weights])

    distances = np.linalg.norm(middle(moved) - middle(clean), axis=1)
    assert distances == pytest.approx(0.1, abs=0.01)
    assert len({tuple(np.round(d, 2)) for d in middle(moved)}) > 1  # each face its own direction


def test_low_light_and_noise_are_as_strong_as_named() -> None:
    grey = np.full((200, 48, 48, 1), 128, np.uint8)
    assert np.unique(corrupted(grey, CORRUPTIONS["low light"])).tolist() == [51]
    noise = corrupted(grey, CORRUPTIONS["noise"]).astype(float) - 128
    assert noise.std() == pytest.approx(0.08 * 255, rel=0.02)
    assert abs(noise.mean()) < 0.2
