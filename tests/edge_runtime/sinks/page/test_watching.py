"""What viewers see: pictures and readings, the newest always, whoever else is slow."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from edge_runtime.drawn import LABELS, scene
from edge_runtime.streaming import number_of
from edge_runtime.visiting import PATIENCE, Got, Visited, reading
from emo_edge.contract import Image
from emo_edge.sinks.page import pictures, site, wire
from emo_edge.sinks.page.history import KEPT_SECONDS
from running import wait_until


@pytest.fixture
def visited() -> Iterator[Visited]:
    with Visited() as page:
        yield page


def decoded(jpeg: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def pictures_of(answer: http.client.HTTPResponse) -> Iterator[Image]:
    """Read an MJPEG stream part by part."""
    assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=emo-picture"
    while answer.readline():  # the boundary
        length = 0
        while (line := answer.readline().strip()) and line:
            name, _, value = line.partition(b": ")
            length = int(value) if name == b"Content-Length" else length
        yield decoded(answer.read(length))
        answer.readline()


def watch(page: Visited) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=PATIENCE)
    connection.request("GET", "/stream.mjpg")
    return connection.getresponse()


# Pictures -----------------------------------------------------------------------------------------


def test_before_the_first_frame_there_is_no_picture(
    visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emo_edge.sinks.page.routes.PICTURE_SECONDS", 0.2)
    answer = visited.ask("/snapshot.jpg")
    assert answer.status == 503 and answer.headers["Retry-After"]


def test_a_picture_is_of_the_newest_frame_and_tells_of_its_faces(visited: Visited) -> None:
    visited.show()
    newest = visited.show(reading("happy"), reading("uncertain", track=2, confidence=0.3))
    answer = visited.ask("/picture.jpg")
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert number_of(decoded(answer.body)) == newest == int(answer.headers["Emo-Frame"])
    assert float(answer.headers["Emo-Age"]) >= 0
    first, second = Got(200, answer.headers, answer.headers["Emo-Faces"].encode()).json
    assert first == {
        "track": 1, "label": "happy", "confidence": 0.8, "box": [0.1, 0.1, 0.5, 0.5]
    }  # fmt: skip
    assert (second["track"], second["label"]) == (2, "uncertain")


def test_a_snapshot_shows_the_readings(visited: Visited) -> None:
    image, _ = scene("happy")
    visited.show(reading(), image=image)
    plain, drawn = visited.ask("/picture.jpg").body, visited.ask("/snapshot.jpg").body
    difference = cv2.absdiff(decoded(plain), decoded(drawn)).max(axis=2)
    assert (difference[:50] > 60).sum() > 300  # the box, its label and the bars
    assert (difference[180:] > 60).sum() == 0


def test_a_large_frame_is_sent_smaller_with_its_boxes_in_place(visited: Visited) -> None:
    image = np.zeros((2160, 3840, 3), np.uint8)
    visited.show(reading(), image=image)
    sent = decoded(visited.ask("/snapshot.jpg").body)
    assert sent.shape == (540, 960, 3)
    assert not image.any()  # the frame is everyone's


def test_a_request_waits_for_a_picture_that_is_newer(visited: Visited) -> None:
    number = visited.show()
    later = threading.Timer(0.2, visited.show)
    later.start()
    answer = visited.ask(f"/picture.jpg?after={number}")
    later.join()
    assert number_of(decoded(answer.body)) == number + 1


def test_nothing_newer_is_told_so(visited: Visited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emo_edge.sinks.page.routes.PICTURE_SECONDS", 0.2)
    number = visited.show()
    assert visited.ask(f"/picture.jpg?after={number}").status == 204


def test_a_viewer_of_an_earlier_run_sees_this_one(visited: Visited) -> None:
    visited.show()
    assert visited.ask("/picture.jpg?after=123456").status == 200


@pytest.mark.parametrize("number", ["-1", "1.5", "x", "%C2%B2", "9" * 400])
def test_a_number_that_is_none_is_refused(visited: Visited, number: str) -> None:
    assert visited.ask(f"/picture.jpg?after={number}").status == 400


def test_pictures_are_made_once_for_all_and_only_while_somebody_looks(
    visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    real = pictures._jpeg
    monkeypatch.setattr(pictures, "_jpeg", lambda image: made.append(1) or real(image))
    for _ in range(50):
        visited.show()
    answers: list[Got] = []
    viewers = [
        threading.Thread(target=lambda: answers.append(visited.ask("/snapshot.jpg")))
        for _ in range(8)
    ]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join()
    assert [number_of(decoded(answer.body)) for answer in answers] == [50] * 8
    assert len(made) == 1


def test_the_stream_moves(visited: Visited) -> None:
    visited.show()
    stream = pictures_of(watch(visited))
    seen = []
    for image in stream:
        seen.append(number_of(image))
        visited.show()
        if len(seen) == 4:
            break
    assert seen == sorted(set(seen))


def test_a_viewer_that_does_not_read_holds_nobody_up(
    visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "WRITE_SECONDS", 1.0)
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (720, 960, 3), np.uint8) for _ in range(2)]  # half a MB each
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect(("127.0.0.1", visited.port))
    stuck.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
    wait_until(lambda: viewers(visited) == 1)
    stop = threading.Event()
    loop = threading.Thread(target=_loop, args=(visited, noise, stop))
    loop.start()
    try:
        stream = pictures_of(watch(visited))
        numbers = [hash(next(stream).tobytes()) for _ in range(8)]
        assert len(set(numbers)) > 1
        assert visited.ask("/metrics").status == 200
        wait_until(lambda: viewers(visited) == 1)  # the stuck one was let go
    finally:
        stop.set()
        loop.join()
        stuck.close()


def _loop(page: Visited, images: list[Image], stop: threading.Event) -> None:
    while not stop.wait(0.02):
        page.show(reading(), image=images[page.shown % 2])


def viewers(page: Visited) -> int:
    return int(float(metric(page, "emo_viewers")))


def metric(page: Visited, name: str) -> str:
    lines = page.ask("/metrics").body.decode().splitlines()
    return next(line for line in lines if line.startswith(f"{name} ")).split()[1]


def test_viewers_have_so_many_places(visited: Visited, monkeypatch: pytest.MonkeyPatch) -> None:
    visited.show()
    streams = [watch(visited) for _ in range(site.MAX_VIEWERS)]
    wait_until(lambda: viewers(visited) == site.MAX_VIEWERS)
    for path in ("/stream.mjpg", "/api/readings", "/snapshot.jpg"):
        answer = visited.ask(path)
        assert answer.status == 503 and answer.headers["Retry-After"]
    assert visited.ask("/metrics").status == 200
    for stream in streams:
        stream.close()
    visited.show()
    wait_until(lambda: visited.ask("/snapshot.jpg").status == 200)


# Readings -----------------------------------------------------------------------------------------


def test_the_first_events_say_what_there_is_and_how_it_fares(visited: Visited) -> None:
    with visited.events() as events:
        kind, hello = next(events)
        assert kind == "hello"
        assert (hello["labels"], hello["model"]) == (list(LABELS), "drawn-int8")
        kind, status = next(events)
        assert (kind, status["ok"], status["source"]["state"]) == ("status", True, "delivering")


def test_readings_are_told_as_they_come(visited: Visited) -> None:
    with visited.events() as events:
        next(events), next(events)
        visited.show(reading("surprised", track=7))
        news = next(data for kind, data in events if kind == "readings")
    (face,) = news["faces"]
    assert (face["track"], face["label"], face["confidence"]) == (7, "surprised", 0.8)
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=0.001)
    assert face["box"] == [19.2, 6.4, 96.0, 32.0]
    assert (news["width"], news["height"], news["frame"]) == (192, 64, 0)


def test_events_have_numbers_a_retry_time_and_a_heartbeat(visited: Visited) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", visited.port, timeout=PATIENCE)
    connection.request("GET", "/api/readings")
    answer = connection.getresponse()
    assert answer.readline() == b"retry: 2000\n"
    visited.show(reading())
    lines = []
    while lines.count("event: status") < 3:  # one at once, then one a second
        lines.append(answer.readline().decode().strip())
    assert "id: 1" in lines
    connection.close()


def test_who_opens_the_page_later_sees_the_last_minutes(visited: Visited) -> None:
    visited.show(reading("sad"))
    wait_until(lambda: "label=" in visited.ask("/metrics").body.decode())
    with visited.events() as events:
        _, hello = next(events)
    ((at, track, label, percent),) = hello["history"]
    assert (track, label, sum(percent), percent[LABELS.index("sad")]) == (1, "sad", 100, 80)
    assert hello["now"] - at == pytest.approx(0, abs=PATIENCE)


def test_what_was_before_the_last_minutes_is_forgotten(visited: Visited) -> None:
    for label, ago in (("sad", KEPT_SECONDS + 1), ("angry", KEPT_SECONDS / 2), ("happy", 0.0)):
        visited.show(reading(label), ago=ago)
        wait_until(lambda label=label: f'label="{label}"' in visited.ask("/metrics").body.decode())
    with visited.events() as events:
        _, hello = next(events)
    assert [label for _, _, label, _ in hello["history"]] == ["angry", "happy"]


def test_a_slow_listener_misses_readings_and_gets_the_newest(visited: Visited) -> None:
    with visited.events() as events:
        next(events), next(events)
        for _ in range(200):
            visited.show(reading())
        newest = visited.show(reading("angry"))
        numbers = [data["frame"] for kind, data in _until_angry(events)]
    assert len(numbers) < 10
    assert numbers[-1] == newest - 1


def _until_angry(events: Iterator[tuple[str, dict]]) -> Iterator[tuple[str, dict]]:
    for kind, data in events:
        if kind == "readings":
            yield kind, data
            if data["faces"][0]["label"] == "angry":
                return


def test_a_listener_that_left_gives_its_place_back(visited: Visited) -> None:
    with visited.events() as events:
        next(events)
        wait_until(lambda: viewers(visited) == 1)
    wait_until(lambda: viewers(visited) == 0)
