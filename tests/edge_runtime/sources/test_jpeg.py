"""JPEG by its markers: whole pictures, and a stream of bytes cut into them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.streaming import numbered
from emo_edge.sources.jpeg import decode, end_of_picture, is_whole
from emo_edge.sources.rpicam import LARGEST_PICTURE, Pictures

PROGRESSIVE = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2]


def jpeg(number: int, options: list[int] | None = None) -> bytes:
    noise = np.random.default_rng(number).integers(0, 60, numbered(0).shape, np.uint8)
    return cv2.imencode(".jpg", numbered(number) ^ noise, options or [])[1].tobytes()


def with_thumbnail(picture: bytes) -> bytes:
    """Put a whole picture, markers and all, into an APP1 segment."""
    thumbnail = jpeg(7)
    return b"\xff\xd8\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + picture[2:]


PICTURES = [jpeg(1), jpeg(2, PROGRESSIVE), with_thumbnail(jpeg(3))]
KINDS = pytest.mark.parametrize("picture", PICTURES, ids=["plain", "progressive", "thumbnail"])


@KINDS
def test_a_picture_ends_at_its_own_end_marker(picture: bytes) -> None:
    assert end_of_picture(picture) == len(picture)
    assert end_of_picture(b"--" + picture + b"padding", 2) == len(picture) + 2
    assert is_whole(picture, ends=True)
    assert is_whole(picture + bytes(1000), ends=True)  # as USB frames are padded


@KINDS
def test_a_picture_cut_anywhere_is_not_whole(picture: bytes) -> None:
    for size in [0, 1, 2, 3, *range(4, len(picture), 97), len(picture) - 1]:
        assert not is_whole(picture[:size], ends=True)


@KINDS
def test_noise_within_a_picture_is_seen(picture: bytes) -> None:
    noise = np.random.default_rng(0).bytes(2000)
    middle = len(picture) // 2
    assert not is_whole(picture[:middle] + noise + picture[middle + 2000 :], ends=True)


def test_what_the_decoder_refuses_is_none() -> None:
    assert decode(jpeg(1)[:100]) == (None, False)
    assert decode(b"") == (None, False)


@KINDS
def test_the_decoder_tells_whether_all_of_a_picture_was_there(
    picture: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    for data in (picture, picture[:-2], picture[:-2] + bytes(6) + picture[-2:]):
        assert decode(data)[1]
    image, whole = decode(picture[: len(picture) * 9 // 10] + picture[-2:])
    assert image is not None
    assert not whole
    assert capfd.readouterr().err == ""


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_are_refused_or_whole(head: bytes, tail: bytes) -> None:
    for content in (head, b"\xff\xd8\xff" + head, PICTURES[0][:640] + head + b"\xff\xda" + tail):
        if is_whole(content, ends=True):
            assert 0 < end_of_picture(content) <= len(content)


@given(
    st.lists(st.integers(1, 5000), max_size=8), st.sampled_from([b"", b"\r\n--x\r\n\r\n", b"\xff"])
)
def test_a_stream_is_cut_into_its_pictures_however_it_arrives(
    sizes: list[int], between: bytes
) -> None:
    stream = b"rubbish" + b"".join(picture + between for picture in PICTURES)
    pictures, taken = Pictures(), []
    for size in [*sizes, len(stream)]:
        pictures.add(stream[:size])
        stream = stream[size:]
        while (picture := pictures.take()) is not None:
            taken.append(picture)
    assert taken == PICTURES


def test_a_damaged_picture_is_given_as_it_is_and_the_next_one_is_found() -> None:
    damaged = PICTURES[0][:900] + b"\xff\x37" + PICTURES[0][900:1500]
    pictures = Pictures()
    pictures.add(damaged)
    assert pictures.take() is None
    pictures.add(PICTURES[1])
    assert [pictures.take(), pictures.take(), pictures.take()] == [damaged, PICTURES[1], None]


def test_what_is_held_is_bounded() -> None:
    for endless in (bytes(1 << 20), b"\xff\xd8\xff\xe0" + bytes(1 << 20)):
        pictures = Pictures()
        pictures.add(PICTURES[0][:-2])
        for _ in range(20):
            pictures.add(endless)
            pictures.take()
            assert len(pictures._held) <= LARGEST_PICTURE + len(endless)
