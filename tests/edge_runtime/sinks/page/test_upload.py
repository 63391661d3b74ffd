"""/api/classify: one picture, read beside the loop, and whatever else somebody may send."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.drawn import LABELS, scene
from edge_runtime.visiting import PATIENCE, Got, Visited, until_hung_up
from emo_edge.contract import Image
from emo_edge.sinks.page import routes, upload
from emo_edge.sinks.page.upload import PictureError, picture_size


@pytest.fixture(scope="module")
def visited() -> Iterator[Visited]:
    with Visited() as page:
        yield page


def encoded(image: Image, suffix: str, *options: int) -> bytes:
    ok, content = cv2.imencode(suffix, image, options)
    assert ok
    return np.asarray(content).tobytes()


def send(page: Visited, content: bytes, kind: str = "image/jpeg") -> Got:
    return page.ask("/api/classify", "POST", body=content, headers={"Content-Type": kind})


# What it is for -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_faces_of_a_picture_are_read(visited: Visited, suffix: str) -> None:
    image, boxes = scene("happy", "surprised")
    answer = send(visited, encoded(image, suffix), "application/octet-stream")
    assert answer.status == 200, answer.body
    said = answer.json
    assert (said["width"], said["height"]) == (image.shape[1], image.shape[0])
    faces = sorted(said["faces"], key=lambda face: face["box"][0])
    assert [face["label"] for face in faces] == ["happy", "surprised"]
    for face, box in zip(faces, boxes, strict=True):
        assert set(face["probabilities"]) == set(LABELS)
        assert face["box"][0] == pytest.approx(box.x, abs=box.w / 4)


def test_a_large_picture_is_read_at_a_part_of_its_size(visited: Visited) -> None:
    image, _ = scene("happy")
    large = cv2.resize(image, None, fx=16, fy=16)
    said = send(visited, encoded(np.asarray(large), ".jpg")).json
    assert (said["width"], said["height"]) == (840, 960)
    assert [face["label"] for face in said["faces"]] == ["happy"]


def test_a_picture_without_a_face_is_an_answer(visited: Visited) -> None:
    said = send(visited, encoded(scene()[0], ".png")).json
    assert said["faces"] == []


def test_the_loop_does_not_notice(visited: Visited) -> None:
    before = visited.show()
    send(visited, encoded(scene("happy")[0], ".jpg"))
    assert int(visited.ask("/picture.jpg").headers["Emo-Frame"]) == before


# What it refuses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"],
)
def test_what_any_website_could_send_is_refused(visited: Visited, kind: str) -> None:
    answer = send(visited, encoded(scene("happy")[0], ".jpg"), kind)
    assert answer.status == 415 and "image/jpeg" in answer.json["error"]


def test_a_picture_without_a_length_is_refused(visited: Visited) -> None:
    answer = visited.say(
        b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert b" 411 " in answer


def test_a_picture_too_large_is_refused_before_it_is_sent(visited: Visited) -> None:
    with visited.connect() as connection:
        connection.sendall(
            b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            b"Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n"
        )
        connection.shutdown(1)
        assert until_hung_up(connection).startswith(b"HTTP/1.1 413 ")


def test_who_sends_it_nevertheless_still_gets_the_answer(visited: Visited) -> None:
    answer = send(visited, bytes(upload.MAX_BYTES + 1))
    assert answer.status == 413


def test_who_asks_first_is_told_to_go_on(visited: Visited) -> None:
    content = encoded(scene("happy")[0], ".png")
    with visited.connect() as connection:
        connection.sendall(
            b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            b"Connection: close\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
            % len(content)
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(content)
        assert b"HTTP/1.1 200 " in until_hung_up(connection)


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5B", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)


def jpeg(width: int, height: int) -> bytes:
    return b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)


def webp(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<II", 10, 0) + size


@pytest.mark.parametrize("crafted", [png, jpeg, webp])
def test_dimensions_are_bounded_by_the_header(visited: Visited, crafted: object) -> None:
    answer = send(visited, crafted(16383, 16383))  # type: ignore[operator]
    assert answer.status == 422 and "16383x16383" in answer.json["error"]


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a" + bytes(40), b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", png(64, 64)[:18],
     png(64, 64), png(0, 0), jpeg(64, 64), webp(64, 64), b"RIFF" + bytes(4) + b"WEBPVP8 ",
     b"\xff\xd8\xff\xe0\x00\x00" * 50],
)  # fmt: skip
def test_what_is_no_picture_is_refused(visited: Visited, content: bytes) -> None:
    answer = send(visited, content)
    assert answer.status == 422 and answer.json["error"]


def test_a_truncated_picture_does_not_harm(visited: Visited) -> None:
    content = encoded(scene("happy")[0], ".png")
    assert send(visited, content[: len(content) // 2]).status in (200, 422)
    assert send(visited, content).status == 200


def test_a_jpeg_of_very_many_scans_is_refused(visited: Visited) -> None:
    content = encoded(scene("happy")[0], ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert send(visited, content).status == 200
    scan = content[content.rindex(b"\xff\xda") : -2]
    bomb = content[:-2] + scan * 100 + content[-2:]
    answer = send(visited, bomb)
    assert answer.status == 422 and "scans" in answer.json["error"]


@given(
    st.binary(max_size=80),
    st.sampled_from([b"", b"\xff\xd8\xff", png(9, 9)[:16], webp(9, 9)[:12]]),
)
def test_no_header_breaks_the_reader(tail: bytes, head: bytes) -> None:
    try:
        width, height = picture_size(head + tail)
    except PictureError:
        return
    assert width >= 0 and height >= 0


@pytest.mark.parametrize("size", [(1, 1), (640, 480), (333, 77)])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".jpg", ()), (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)), (".png", ()),
     (".webp", (cv2.IMWRITE_WEBP_QUALITY, 50)), (".webp", (cv2.IMWRITE_WEBP_QUALITY, 101))],
)  # fmt: skip
def test_sizes_are_read_from_real_headers(
    size: tuple[int, int], suffix: str, options: tuple[int, ...]
) -> None:
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    assert picture_size(encoded(image, suffix, *options)) == size


# Many at a time -----------------------------------------------------------------------------------


def test_uploads_have_few_places_and_slow_ones_lose_theirs(
    visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "UPLOAD_SECONDS", 2.0)
    content = encoded(scene("happy")[0], ".png")
    slow = [visited.connect() for _ in range(upload.WAITING)]
    for connection in slow:
        connection.sendall(
            b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\nnot all of it"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")  # it has its place
    busy = send(visited, content)
    assert busy.status == 503 and busy.headers["Retry-After"]
    assert visited.ask("/healthz").json["source"]["state"] == "delivering"
    for connection in slow:
        assert until_hung_up(connection).startswith(b"HTTP/1.1 408 ")
        connection.close()
    assert send(visited, content).status == 200


def test_pictures_sent_together_are_read_one_after_the_other(visited: Visited) -> None:
    pictures = {name: encoded(scene(name)[0], ".png") for name in ("happy", "surprised")}
    said: dict[str, Got] = {}

    def post(name: str) -> None:
        said[name] = send(visited, pictures[name])

    threads = [threading.Thread(target=post, args=(name,)) for name in pictures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for name, answer in said.items():
        assert [face["label"] for face in answer.json["faces"]] == [name]
