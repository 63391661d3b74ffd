"""Network cameras, on loopback: real servers that stall, cut, send garbage and come back."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from edge_runtime.drawn import scene
from edge_runtime.rtsp import RtspCamera
from edge_runtime.streaming import Camera, number_of
from emo_edge.errors import SourceError
from emo_edge.health import Health
from emo_edge.sources import Frame, open_source
from emo_edge.sources.frame import Source
from emo_edge.sources.live import live
from emo_edge.sources.settings import Patience
from emo_edge.sources.streams import Stream, public_name
from running import wait_until

PATIENCE = Patience(opening=10, silence=0.5, first_pause=0.05, longest_pause=0.2, stuck=3)


@contextmanager
def opened(url: str, patience: Patience = PATIENCE) -> Iterator[tuple[Source, Health]]:
    health = Health()
    with live(Stream(url), health, patience) as source:
        yield source, health


def seen_by(source: Source) -> Iterator[Frame]:
    return (frame for frame in source.frames if frame is not None)


def test_a_stream_is_live_and_shows_what_the_camera_sees() -> None:
    picture, _ = scene("happy")
    with Camera(picture) as camera, open_source(camera.url) as source:
        frames = list(itertools.islice(seen_by(source), 3))
    assert source.kind == "live"
    assert frames[0].index < frames[1].index < frames[2].index
    for frame in frames:
        assert np.abs(frame.image.astype(int) - picture).mean() < 4  # JPEG


def test_a_slow_consumer_gets_new_frames_and_never_old_ones() -> None:
    with Camera() as camera, open_source(camera.url) as source:
        for frame in itertools.islice(seen_by(source), 4):
            sent = camera.sent
            wait_until(lambda sent=sent: camera.sent >= sent + 40)  # type: ignore[misc]
            late = next(seen_by(source))
            assert number_of(late.image) >= sent + 20
            assert late.index - frame.index >= 20
            assert late.captured_at > frame.captured_at


@pytest.mark.parametrize("stalls", [False, True], ids=["cut", "stalled"])
def test_a_stream_that_ends_or_stalls_is_opened_again(
    stalls: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with Camera(frames=12, stalls=stalls) as camera, opened(camera.url) as (source, health):
        for frame in seen_by(source):
            assert number_of(frame.image) < 12
            if health.source.reopened == 2:
                break
        assert health.source.state == "delivering"
        assert frame.index >= 12
    said = capsys.readouterr().err
    assert said.count("lost (") == said.count("back after") == 2


@pytest.mark.parametrize("stalls", [False, True], ids=["cut", "stalled"])
def test_rtsp_is_read_and_opened_again(stalls: bool) -> None:
    with RtspCamera(frames=30, stalls=stalls) as camera, opened(camera.url) as (source, health):
        frames = []
        while health.source.reopened == 0:
            frames.append(next(seen_by(source)))
        assert source.kind == "live"
        seen = [number_of(frame.image) for frame in frames[:-1]]
        assert seen == sorted(seen)
        assert seen[-1] >= 20
        assert camera.played == 2


def test_a_server_that_sends_garbage_is_opened_again() -> None:
    with Camera(frames=12, garbage=True) as camera, opened(camera.url) as (source, health):
        for _ in seen_by(source):
            if health.source.reopened:
                break


def test_a_server_that_goes_away_and_comes_back_is_found_again() -> None:
    with Camera() as camera:
        port = camera.server_port
        health = Health()
        following = live(Stream(camera.url), health, PATIENCE)
        source = following.__enter__()
        next(seen_by(source))
    frames = source.frames
    while health.source.state != "lost":
        next(frames)
    while health.source.error == "it stopped delivering frames":  # until a try has failed
        next(frames)
    with Camera(port=port):
        assert next(seen_by(source)).index > 0
        assert health.source.reopened == 1
        following.__exit__(None, None, None)


WATCH_A_STALL = """
import sys, threading
from emo_edge.health import Health
from emo_edge.sources.live import live
from emo_edge.sources.settings import Patience
from emo_edge.sources.streams import Stream
health = Health()
with live(Stream(sys.argv[1]), health, Patience(silence=0.5, first_pause=60)) as source:
    for frame in source.frames:
        if health.source.state == "lost":
            break
print("stalled", flush=True)
for thread in threading.enumerate():
    if thread.name == "capture":
        thread.join(20)
print("whole", flush=True)
"""


def test_a_stalled_camera_that_comes_back_too_late_crashes_nothing_and_nothing_chatters() -> None:
    as_users_have_it = {k: v for k, v in os.environ.items() if not k.startswith("OPENCV_")}
    with (
        Camera(frames=12, stalls=True) as camera,
        subprocess.Popen(
            [sys.executable, "-c", WATCH_A_STALL, camera.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=as_users_have_it,
        ) as child,
    ):
        assert child.stdout is not None and child.stderr is not None
        assert child.stdout.readline() == "stalled\n"
        camera.resume.set()
        assert child.stdout.read() == "whole\n"
        said = child.stderr.read().splitlines()
    assert child.returncode == 0
    assert [line.split(": ")[0] for line in said] == [public_name(camera.url), "warning"]


def test_a_stream_that_nobody_serves_is_refused() -> None:
    with Camera() as camera:
        url = camera.url
    with pytest.raises(SourceError, match="stream cannot be opened"), open_source(url):
        pass


def test_credentials_are_used_and_never_printed(capfd: pytest.CaptureFixture[str]) -> None:
    secrets = ("hedwig", "s3cret", "t0ken")
    with Camera(login="hedwig:s3cret") as camera:
        address = f"127.0.0.1:{camera.server_port}/stream.mjpg?key=t0ken"
        with opened(f"http://hedwig:s3cret@{address}") as (source, health):
            frame = next(seen_by(source))
            names = (frame.name, source.name, health.source.name)
            camera.closing.set()
            while health.source.state != "lost":
                next(source.frames)
        camera.closing.clear()
        for user in ("hedwig:wr0ng@", ""):
            with pytest.raises(SourceError) as refusal, open_source(f"http://{user}{address}"):
                pass
            names += (str(refusal.value),)
    said = "".join(capfd.readouterr()) + "".join(names)
    assert "127.0.0.1" in said
    assert not any(secret in said for secret in (*secrets, "wr0ng"))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtsp://u:p@host:554/live?x=1#f", "rtsp://host:554/live"),
        ("http://[::1]:80/v", "http://[::1]:80/v"),
        ("rtsp://u:p%40@host/live", "rtsp://host/live"),
    ],
)
def test_what_is_secret_in_a_url_is_left_out_of_its_name(url: str, name: str) -> None:
    assert public_name(url) == name


@pytest.mark.parametrize("password", ["12/s3cret", "12?s3cret", "12#s3cret", "s3/cret", "s3#cret"])
def test_a_password_that_must_be_written_otherwise_is_not_printed_either(password: str) -> None:
    with pytest.raises(SourceError, match="as %2F %3F") as refusal:
        public_name(f"rtsp://admin:{password}@cam.lan/live")
    assert "s3" not in str(refusal.value)
    assert "cret" not in str(refusal.value)


@pytest.mark.parametrize("url", ["rtsp://cam/live@hd", "http://cam:80/video?user=a@b"])
def test_an_at_sign_elsewhere_is_no_password(url: str) -> None:
    assert public_name(url) == url.partition("?")[0]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "concat://a|b", "://x", "http://h:port/"])
def test_what_is_no_stream_is_refused(url: str) -> None:
    with pytest.raises(SourceError, match=r"is no kind of stream|not a URL"), open_source(url):
        pass
