"""The preprocessing contract: what a model is fed, bit for bit."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.drawn import save, scene
from emo_edge.contract import (
    LARGEST_CROP,
    Box,
    Image,
    crop_face,
    prepare,
    probabilities,
    read_image,
)
from emo_edge.errors import DataError
from emo_edge.spec import ModelSpec

GOLDEN = Path(__file__).with_name("golden_contract.npz")
SIZE = 36
CASES: dict[str, tuple[Box | None, float]] = {  # name -> face in the 96x84 scene, crop margin
    "shrunk": (Box(5, 12, 50, 61), 0.1),
    "enlarged": (Box(32.4, 40.7, 20, 17), 0.0),
    "beyond_shrunk": (Box(-20, 40, 60, 60), 0.2),
    "beyond_enlarged": (Box(75, -6, 22, 25), 0.1),
    "whole": (None, 0.0),
}
COLOURS = ("grey", "rgb")
COORDINATE = st.floats(-1e6, 1e6) | st.floats(-300, 300)
LENGTH = st.floats(0, 400)
BOXES = st.builds(Box, COORDINATE, COORDINATE, LENGTH, LENGTH)


def a_spec(colour: str = "grey", margin: float = 0.0, **changes: Any) -> ModelSpec:
    values = {"labels": ("a", "b"), "height": SIZE, "width": SIZE, **changes}
    return ModelSpec(colour=colour, crop_margin=margin, **values)


def golden_tensors(picture: Image) -> dict[str, Image]:
    """Return what `prepare` makes of the picture, for each case and colour."""
    return {
        f"{name}_{colour}": prepare(picture, a_spec(colour, margin), box)
        for name, (box, margin) in CASES.items()
        for colour in COLOURS
    }


def write_golden() -> None:
    """Make golden_contract.npz anew, for a wanted change of the contract only.

    PYTHONPATH=tests .venv-device/bin/python -m edge_runtime.test_contract
    """
    drawn, _ = scene("happy")
    picture = np.asarray(cv2.resize(drawn, (84, 96), interpolation=cv2.INTER_AREA), np.uint8)
    np.savez_compressed(GOLDEN, picture=picture, **golden_tensors(picture))


def ramp(height: int = 96, width: int = 120, channels: int = 3) -> Image:
    rng = np.random.default_rng(5)
    return rng.integers(10, 240, (height, width, channels), np.uint8)


def area_weights(old: int, new: int) -> NDArray[np.float64]:
    """Return the share of each old pixel in each new one: weights [new, old]."""
    edges = np.arange(new + 1) * old / new
    pixels = np.arange(old)
    low = np.maximum(edges[:-1, None], pixels)
    high = np.minimum(edges[1:, None], pixels + 1)
    return np.clip(high - low, 0, None) * new / old


def linear_weights(old: int, new: int) -> NDArray[np.float64]:
    """Return the weights [new, old] of linear interpolation between pixel middles."""
    places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.clip(1 - np.abs(places[:, None] - np.arange(old)), 0, None)


def resized(image: Image) -> NDArray[np.float64]:
    """Resize to SIZE x SIZE in floating point: the definition, not OpenCV's code."""
    shrinks = min(image.shape[:2]) >= SIZE
    weights = area_weights if shrinks else linear_weights
    rows, columns = weights(image.shape[0], SIZE), weights(image.shape[1], SIZE)
    return np.einsum("ij,jkc,lk->ilc", rows, image.reshape(*image.shape[:2], -1), columns)


def in_colour(image: Image, colour: str) -> Image:
    if colour == "rgb":
        return image[:, :, ::-1]
    grey = image @ np.array([0.114, 0.587, 0.299])
    return np.asarray(np.rint(grey), np.uint8)[:, :, None]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("name", CASES)
def test_golden_tensors_hold_bit_for_bit(name: str, colour: str) -> None:
    with np.load(GOLDEN) as golden:
        expected = golden[f"{name}_{colour}"]
        box, margin = CASES[name]
        made = prepare(golden["picture"], a_spec(colour, margin), box)
    assert made.dtype == expected.dtype == np.uint8
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("name", CASES)
def test_golden_tensors_agree_with_the_definition_of_crop_and_resize(
    name: str, colour: str
) -> None:
    box, margin = CASES[name]
    with np.load(GOLDEN) as golden:
        picture, tensor = golden["picture"], golden[f"{name}_{colour}"]
    # Without a box, the picture is the face, and is made square by its edges.
    box = box or Box(0, 0, picture.shape[1], picture.shape[0])
    border = 100
    side = round(max(box.w, box.h) * (1 + 2 * margin))
    left = math.floor(box.x + box.w / 2 - side / 2 + 0.5) + border
    top = math.floor(box.y + box.h / 2 - side / 2 + 0.5) + border
    wide = np.pad(picture, ((border, border), (border, border), (0, 0)), mode="edge")
    face = wide[top : top + side, left : left + side]
    # OpenCV rounds to whole levels once for grey and once for the size.
    np.testing.assert_allclose(tensor[0], resized(in_colour(face, colour)), atol=1.01)


@pytest.mark.parametrize("box", [None, *(box for box, _ in CASES.values() if box)])
def test_a_flat_colour_stays_flat(box: Box | None) -> None:
    flat = np.full((96, 84, 3), (10, 100, 200), np.uint8)
    rgb = prepare(flat, a_spec("rgb", 0.2), box)
    grey = prepare(flat, a_spec("grey", 0.2), box)
    assert (rgb == (200, 100, 10)).all()
    assert (grey == round(0.114 * 10 + 0.587 * 100 + 0.299 * 200)).all()


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(("box", "margin"), CASES.values())
def test_moving_the_picture_with_its_box_changes_nothing(
    box: Box | None, margin: float, colour: str
) -> None:
    if box is None:
        box = Box(20, 10, 40, 40)
    picture = ramp()
    wide = np.pad(picture, ((64, 64), (64, 64), (0, 0)), mode="edge")
    moved = box._replace(x=box.x + 64, y=box.y + 64)
    spec = a_spec(colour, margin)
    np.testing.assert_array_equal(prepare(wide, spec, moved), prepare(picture, spec, box))


def test_a_crop_of_the_models_size_is_fed_as_it_is() -> None:
    picture = ramp()
    fed = prepare(picture, a_spec("rgb"), Box(7, 9, SIZE, SIZE))
    np.testing.assert_array_equal(fed[0], picture[9 : 9 + SIZE, 7 : 7 + SIZE, ::-1])


def test_halving_takes_the_mean_of_four_pixels() -> None:
    picture = ramp(2 * SIZE, 2 * SIZE)
    blocks = picture.reshape(SIZE, 2, SIZE, 2, 3).mean(axis=(1, 3))
    fed = prepare(picture, a_spec("rgb"))[0, :, :, ::-1]
    np.testing.assert_allclose(fed, blocks, atol=0.51)


def test_height_and_width_are_not_confused() -> None:
    spec = a_spec("rgb", height=20, width=50)
    assert prepare(ramp(), spec, Box(0, 0, 30, 30)).shape == (1, 20, 50, 3)
    wide = np.zeros((20, 50, 3), np.uint8)
    wide[:, 25:] = 255
    np.testing.assert_array_equal(prepare(wide, spec)[0], wide)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_grey_picture_is_fed_like_the_same_picture_in_three_channels(colour: str) -> None:
    grey = ramp(channels=1)
    spec, box = a_spec(colour, 0.1), Box(10, 10, 60, 60)
    expected = prepare(np.repeat(grey, 3, axis=2), spec, box)
    np.testing.assert_array_equal(prepare(grey, spec, box), expected)
    np.testing.assert_array_equal(prepare(grey[:, :, 0], spec, box), expected)


@pytest.mark.parametrize(("margin", "side"), [(0.0, 40), (0.25, 60), (-0.25, 20)])
def test_the_crop_is_square_and_grows_by_the_margin_of_the_longer_side(
    margin: float, side: int
) -> None:
    crop = crop_face(ramp(200, 200), Box(80, 90, 40, 20), margin)
    np.testing.assert_array_equal(
        crop, ramp(200, 200)[100 - side // 2 : 100 + side // 2, 100 - side // 2 : 100 + side // 2]
    )


@given(box=BOXES, margin=st.floats(-0.4, 2.0))
def test_any_box_gives_a_square_of_the_pictures_own_pixels(box: Box, margin: float) -> None:
    picture = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40)
    low, high = (picture % 256).astype(np.uint8), (picture // 256).astype(np.uint8)
    crop = crop_face(np.dstack([low, high, low]), box, margin)
    values = crop[..., 0].astype(int) + 256 * crop[..., 1].astype(int)
    assert crop.shape == (len(crop), len(crop), 3)
    assert len(crop) == max(1, round(max(box.w, box.h) * (1 + 2 * margin)))
    rows, columns = values // 40, values % 40
    assert values.max() < 1200
    # Neighbours in the crop are neighbours in the picture, or a repeated edge.
    assert set(np.unique(np.diff(rows, axis=0))) <= {0, 1}
    assert set(np.unique(np.diff(columns, axis=1))) <= {0, 1}
    assert not np.diff(rows, axis=1).any()
    assert not np.diff(columns, axis=0).any()


@given(box=BOXES, margin=st.floats(-0.4, 2.0), colour=st.sampled_from(COLOURS))
def test_any_box_gives_an_input_within_the_range_of_the_picture(
    box: Box, margin: float, colour: str
) -> None:
    spec = a_spec(colour, margin, height=16, width=24)
    fed = prepare(ramp(30, 40), spec, box)
    assert fed.shape == spec.input_shape
    assert fed.dtype == np.uint8
    assert 10 <= fed.min() <= fed.max() < 240


@pytest.mark.parametrize("shape", [(65_500, 1), (1, 20_000)])
def test_a_crop_that_would_fill_the_memory_is_cut_from_a_smaller_picture(
    shape: tuple[int, int],
) -> None:
    height, width = shape
    picture = np.full(shape, 90, np.uint8)
    picture[height // 2 :, width // 2 :] = 200
    crop = crop_face(picture, Box(0, 0, width, height), 0.0)
    assert LARGEST_CROP // 2 < crop.shape[0] == crop.shape[1] <= LARGEST_CROP
    assert (int(crop[0, 0]), int(crop[-1, -1])) == (90, 200)


@pytest.mark.parametrize(
    ("box", "corner"),
    [
        (Box(-9e5, -9e5, 20, 20), (0, 0)),
        (Box(9e5, -9e5, 20, 20), (0, -1)),
        (Box(-9e5, 9e5, 20, 20), (-1, 0)),
        (Box(9e5, 9e5, 20, 20), (-1, -1)),
    ],
)
def test_a_box_far_outside_repeats_the_nearest_corner(box: Box, corner: tuple[int, int]) -> None:
    picture = ramp()
    assert (crop_face(picture, box, 0.0) == picture[corner]).all()


def exif_turned(picture: Image, orientation: int) -> bytes:
    """Return a JPEG of `picture` that says by EXIF how it is to be turned."""
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def quarters() -> Image:
    """Return a picture whose four quarters differ, wider than high."""
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:20, :30], picture[:20, 30:] = (200, 30, 30), (30, 200, 30)
    picture[20:, :30], picture[20:, 30:] = (30, 30, 200), (90, 90, 90)
    return picture


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda p: p),
        (2, np.fliplr),
        (3, lambda p: np.rot90(p, 2)),
        (4, np.flipud),
        (5, lambda p: np.fliplr(np.rot90(p, -1))),
        (6, lambda p: np.rot90(p, -1)),
        (7, lambda p: np.fliplr(np.rot90(p))),
        (8, np.rot90),
        (99, lambda p: p),
    ],
)
def test_a_turned_photo_is_read_upright(
    tmp_path: Path, orientation: int, turn: Callable[[Image], Image]
) -> None:
    path = tmp_path / "phone.jpg"
    path.write_bytes(exif_turned(quarters(), orientation))
    upright = turn(quarters())
    read = read_image(path)
    assert read.shape == upright.shape
    np.testing.assert_allclose(read[5::10, 5::10], upright[5::10, 5::10], atol=8)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (lambda p: np.dstack([p, np.full((40, 60), 128, np.uint8)]), lambda p: p),
        (lambda p: p.astype(np.uint16) * 257, lambda p: p),
        (
            lambda p: np.dstack([p, np.full((40, 60), 9, np.uint8)]).astype(np.uint16) * 257,
            lambda p: p,
        ),
        (lambda p: p[:, :, 1], lambda p: np.repeat(p[:, :, 1:2], 3, axis=2)),
        (
            lambda p: p[:, :, 1].astype(np.uint16) * 257,
            lambda p: np.repeat(p[:, :, 1:2], 3, axis=2),
        ),
    ],
    ids=["alpha", "16 bit", "16 bit alpha", "grey", "16 bit grey"],
)
def test_every_png_is_read_as_8_bit_bgr(
    tmp_path: Path, stored: Callable[[Image], Any], expected: Callable[[Image], Image]
) -> None:
    read = read_image(save(tmp_path / "picture.png", stored(quarters())))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, expected(quarters()))


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0 cut"])
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.jpg is not a readable picture"):
        read_image(path)


def test_a_missing_picture_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png: No such file"):
        read_image(tmp_path / "gone.png")


def test_a_name_with_umlauts_and_spaces_is_read(tmp_path: Path) -> None:
    path = tmp_path / "größe eins.png"
    path.write_bytes(cv2.imencode(".png", quarters())[1].tobytes())
    np.testing.assert_array_equal(read_image(path), quarters())


def test_the_temperature_divides_the_logits() -> None:
    logits = np.log(np.array([0.8, 0.2], np.float32))
    cold = probabilities(logits, a_spec(temperature=0.5))
    np.testing.assert_allclose(cold, [0.64 / 0.68, 0.04 / 0.68], rtol=1e-5)
    np.testing.assert_allclose(probabilities(logits, a_spec()), [0.8, 0.2], rtol=1e-5)


def test_a_softmax_inside_the_graph_is_not_applied_twice() -> None:
    output = np.array([[0.7, 0.3], [0.1, 0.9]], np.float32)
    once = probabilities(output, a_spec(output="probabilities"))
    np.testing.assert_allclose(once, output, rtol=1e-5)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=9), st.floats(0.01, 100))
def test_probabilities_sum_to_one_and_keep_the_order(
    logits: list[float], temperature: float
) -> None:
    given_ = np.array(logits, np.float32)
    made = probabilities(given_, a_spec(temperature=temperature))
    assert made.dtype == np.float32
    assert made.sum() == pytest.approx(1, abs=1e-5)
    assert made[given_.argmax()] == made.max()


if __name__ == "__main__":
    write_golden()
