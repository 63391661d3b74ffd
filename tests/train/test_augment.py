from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from emo_train.augment import augment
from emo_train.recipe import Augmentation
from emo_train.synthetic import draw_identity, face_crop

Batch = NDArray[np.float32]

NOTHING = Augmentation(
    flip=False,
    rotation=0,
    shear=0,
    shift=0,
    zoom=0,
    brightness=0,
    contrast=0,
    blur=0,
    noise=0,
    erasing=0,
)
EVERYTHING = Augmentation(
    rotation=180,
    shear=45,
    shift=1,
    zoom=0.9,
    brightness=1,
    contrast=1,
    blur=0.2,
    noise=1,
    erasing=1,
)


def faces(count: int, channels: int = 1) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    drawn = [face_crop(draw_identity(rng), "happy", rng) for _ in range(count)]
    return np.stack(drawn)[..., :channels]


def changed(images: NDArray[np.uint8], strength: Augmentation, seed: int = 0) -> Batch:
    return np.asarray(augment(images, strength, np.int32(seed)))


@pytest.mark.parametrize("strength", [NOTHING, Augmentation(), EVERYTHING], ids=["0", "1", "all"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_keeps_its_shape_and_the_range_of_pixels(
    channels: int, strength: Augmentation
) -> None:
    images = faces(8, channels)
    batch = changed(images, strength)
    assert batch.shape == images.shape
    assert batch.dtype == np.float32
    assert batch.min() >= 0
    assert batch.max() <= 255


def test_no_strength_changes_nothing() -> None:
    images = faces(4)
    np.testing.assert_allclose(changed(images, NOTHING), images, atol=1e-2)


def test_a_flip_gives_the_picture_or_its_mirror_image() -> None:
    images = faces(32)
    batch = changed(images, replace(NOTHING, flip=True))
    kept = [np.allclose(a, b, atol=1e-2) for a, b in zip(batch, images, strict=True)]
    mirrored = [np.allclose(a, b[:, ::-1], atol=1e-2) for a, b in zip(batch, images, strict=True)]
    assert all(a != b for a, b in zip(kept, mirrored, strict=True))
    assert any(kept)
    assert any(mirrored)


UNLIKE = {"rotation": 20.0, "blur": 0.1, "erasing": 1.0}


@pytest.mark.parametrize(
    "name",
    ["rotation", "shear", "shift", "zoom", "brightness", "contrast", "blur", "noise", "erasing"],
)
def test_each_strength_changes_each_picture_in_its_own_way(name: str) -> None:
    same_twice = np.repeat(faces(1), 2, axis=0)
    strength = replace(NOTHING, **{name: UNLIKE.get(name, 0.9)})
    first, second = changed(same_twice, strength)
    assert not np.allclose(first, same_twice[0], atol=1)
    assert not np.allclose(first, second, atol=1)


def test_brightness_adds_at_most_its_share_of_the_range() -> None:
    grey = np.full((64, 48, 48, 1), 128, np.uint8)
    levels = changed(grey, replace(NOTHING, brightness=0.2))[:, 0, 0, 0] - 128
    assert np.abs(levels).max() <= 0.2 * 255 + 1e-3
    assert levels.min() < 0 < levels.max()


def test_contrast_keeps_the_mean_of_a_picture() -> None:
    images = (faces(8) // 4 + 96).astype(np.uint8)  # no pixel reaches 0 or 255
    batch = changed(images, replace(NOTHING, contrast=0.5))
    np.testing.assert_allclose(batch.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=0.1)


@pytest.mark.parametrize("channels", [1, 3])
def test_blur_lies_between_the_picture_and_its_gaussian(channels: int) -> None:
    images = faces(16, channels)
    batch = changed(images, replace(NOTHING, blur=1 / 48))
    for after, before in zip(batch, images, strict=True):
        gaussian = cv2.GaussianBlur(
            before.astype(np.float32), (7, 7), 1.0, borderType=cv2.BORDER_REFLECT
        ).reshape(before.shape)
        change = gaussian - before
        share = float((after - before).ravel() @ change.ravel() / (change.ravel() @ change.ravel()))
        assert 0 <= share <= 1
        np.testing.assert_allclose(after, before + share * change, atol=0.1)


def test_erasing_paints_one_grey_over_at_most_a_fifth_of_a_picture() -> None:
    images = faces(32)
    batch = changed(images, replace(NOTHING, erasing=1.0))
    for after, before in zip(batch, images, strict=True):
        touched = np.abs(after - before) > 0.01
        painted = after[touched]
        assert not painted.size or np.ptp(painted) < 0.01
        assert touched.mean() <= 0.2 * 1.1  # a rectangle covers whole pixels


def test_the_seed_decides_every_change() -> None:
    images = faces(4)
    first, same, other = (changed(images, Augmentation(), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)
