from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emo_bench.cli import app
from emo_bench.endless import open_endless
from emo_bench.meters import StageClock
from emo_edge.health import Health
from emo_edge.modelfile import read_model
from emo_edge.sources import Frame, Source
from running import ASSETS, assert_done, assert_refused, call, draw_faces, run

INT8 = ASSETS / "drawn-int8.tflite"
FRAMES = 30  # as many as the warm-up, which does not count


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of 20 frames, each a face crop."""
    folder = tmp_path_factory.mktemp("video")
    path = folder / "faces.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (96, 96))
    for picture in draw_faces(folder / "faces", 20, colour=True):
        writer.write(cv2.resize(cv2.imread(str(picture)), (96, 96)))  # type: ignore[arg-type]
    writer.release()
    return path


@pytest.fixture(scope="module", params=["decoded", "preloaded"])
def measured(
    request: pytest.FixtureRequest, video: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Return the envelope of a run that is longer than the video."""
    folder = tmp_path_factory.mktemp(str(request.param))
    options = ["--preload"] if request.param == "preloaded" else []
    command = ("emo-bench", "pipeline", "--source", video, "--model", INT8, "--detector", "none")
    outputs = ("--json", folder / "p.json", "--plot", folder / "p.png")
    outcome = run(*command, "--duration", "60", "--frames", str(FRAMES), *options, *outputs)
    assert_done(outcome)
    assert cv2.imread(str(folder / "p.png")) is not None
    assert "faces.mp4 96x96" in outcome.stdout
    return dict(json.loads((folder / "p.json").read_text()))


@pytest.mark.parametrize(("stops", "kept"), [(False, 64), (True, 1)])
def test_no_more_is_decoded_than_is_kept_in_memory(tmp_path: Path, stops: bool, kept: int) -> None:
    path = tmp_path / "long.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 64))
    for number in range(100):
        writer.write(np.full((64, 64, 3), 2 * number, np.uint8))
    writer.release()
    asked = list[int]()

    def stop() -> bool:
        asked.append(1)
        return stops

    opened = open_endless(str(path), Health(), StageClock(), stop, preload=True)
    with opened as source:
        seen = [int(frame.image.mean()) for frame in islice(source.frames, 130) if frame]
    assert len(set(seen)) == kept
    assert len(asked) < 65


@pytest.mark.parametrize("count", [0, 30], ids=["none at all", "none after the warm-up"])
def test_a_camera_that_gives_no_frame_in_time_is_told(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    picture = np.full((64, 64, 3), 90, np.uint8)

    def frames() -> Iterator[Frame | None]:
        for number in range(count):
            yield Frame(picture, number, number / 10, time.monotonic(), "camera")
        while True:
            time.sleep(0.01)
            yield None

    @contextmanager
    def silent(*_: object, **__: object) -> Iterator[Source]:
        yield Source("camera", "live", 10.0, frames())

    monkeypatch.setattr("emo_bench.pipeline.open_endless", silent)
    options = ("--source", "camera", "--model", INT8, "--detector", "none", "--duration", "2")
    assert_refused(call(app, "pipeline", *options), 5, "no frame of camera was read in time")


def test_every_frame_after_the_warm_up_is_counted(measured: dict[str, Any]) -> None:
    assert measured["kind"] == "pipeline"
    (result,) = measured["results"]
    assert result["frames"] == FRAMES
    assert result["faces"] == result["readings"] == result["frames"]
    assert (result["skipped_frames"], result["frame_size"]) == (0, [96, 96])
    assert result["detector_calls_per_frame"] == 1.0


def test_costs_add_up_and_ages_are_in_order(measured: dict[str, Any]) -> None:
    (result,) = measured["results"]
    cost = result["cpu_ms_per_frame"]
    parts = sum(cost[s] for s in ("decode", "detect", "prepare", "invoke", "sinks", "rest"))
    assert parts == pytest.approx(cost["total"], abs=0.001)
    own = cost["total"] - cost["decode"] - cost["detect"] - cost["invoke"]
    assert cost["own"] == pytest.approx(own, abs=0.001)
    assert cost["invoke"] > 0
    ages = [result["age_ms"][name] for name in ("p50", "p90", "p95", "p99")]
    assert ages == sorted(ages)


def test_memory_and_descriptors_are_told_over_time(measured: dict[str, Any]) -> None:
    (result,) = measured["results"]
    signs = result["vital_signs"]
    assert len({len(column) for column in signs.values()}) == 1
    assert min(signs["rss_mib"]) > 10
    first, last = result["descriptors"]
    assert first == last


def test_a_page_that_is_looked_at_is_part_of_the_cost(video: Path, tmp_path: Path) -> None:
    command = ("emo-bench", "pipeline", "--source", video, "--model", INT8, "--detector", "none")
    options = ("--duration", "60", "--frames", str(FRAMES), "--page")
    outcome = run(*command, *options, "--json", tmp_path / "p.json")
    assert_done(outcome)
    (result,) = json.loads((tmp_path / "p.json").read_text())["results"]
    assert result["page"] is True
    assert result["frames"] == FRAMES


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (("--source", "nowhere.mp4"), 5, "nowhere.mp4"),
        (("--source", str(ASSETS)), 5, "no pictures"),
        (("--detector", "eagle"), 2, "eagle"),
    ],
)
def test_what_cannot_run_is_refused(
    video: Path, options: tuple[str, ...], code: int, word: str
) -> None:
    defaults = ("--source", str(video), "--model", str(INT8), "--detector", "none")
    outcome = run("emo-bench", "pipeline", *defaults, "--duration", "1", *options)
    assert_refused(outcome, code, word)


def test_a_plain_model_must_be_converted_first(video: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.tflite"
    plain.write_bytes(read_model(INT8).flatbuffer)
    ended = call(app, "pipeline", "--source", video, "--model", plain)
    assert_refused(ended, 2, "carries no emo-toolkit metadata: convert it first")


@pytest.mark.parametrize("name", ["memory", "memory.txt"])
def test_a_plot_of_no_known_kind_is_refused(tmp_path: Path, name: str) -> None:
    ended = call(app, "pipeline", "--source", "nosuch.mp4", "--plot", tmp_path / name)
    assert_refused(ended, 2, f"--plot {tmp_path / name}", ".png")


def test_a_picture_is_no_source_for_a_loop(tmp_path: Path) -> None:
    (picture,) = draw_faces(tmp_path, 1)
    outcome = run("emo-bench", "pipeline", "--source", picture, "--model", INT8, "--duration", "1")
    assert_refused(outcome, 2, "no camera or video")


def test_a_video_without_a_face_is_told(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(
        str(tmp_path / "empty.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (96, 96)
    )
    for _ in range(6):
        writer.write(np.full((96, 96, 3), 90, np.uint8))
    writer.release()
    outcome = run(
        "emo-bench", "pipeline", "--source", tmp_path / "empty.mp4", "--model", INT8,
        "--detector", "haar", "--frames", "5", "--json", tmp_path / "p.json",
    )  # fmt: skip
    assert_refused(outcome, 7, "no face")
    assert json.loads((tmp_path / "p.json").read_text())["results"] == []
