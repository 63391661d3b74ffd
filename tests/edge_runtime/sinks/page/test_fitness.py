"""/healthz and /metrics: what watches the watcher."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from edge_runtime.framing import a_frame
from edge_runtime.visiting import Visited, reading
from emo_edge.health import SinkHealth
from emo_edge.sinks.page import verdict
from emo_edge.sinks.page.history import History
from emo_edge.sinks.page.latest import Moment
from running import wait_until


@pytest.fixture
def visited() -> Iterator[Visited]:
    with Visited() as page:
        page.show(reading())
        yield page


def metrics(page: Visited) -> dict[str, dict[tuple[str, ...], float]]:
    """Return {sample: {values of its labels: value}}, read by Prometheus's own parser."""
    answer = page.ask("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in parse(answer.body.decode()):
        assert family.documentation and family.type in ("counter", "gauge")
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def health(page: Visited) -> tuple[int, dict[str, Any]]:
    answer = page.ask("/healthz")
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status, answer.json


def test_a_run_that_delivers_is_well(visited: Visited) -> None:
    status, said = health(visited)
    assert (status, said["ok"], said["reasons"], said["warnings"]) == (200, True, [], [])


def test_a_lost_camera_is_not(visited: Visited) -> None:
    visited.health.source.turn("lost", "it stopped delivering frames")
    status, said = health(visited)
    assert (status, said["ok"]) == (503, False)
    (reason,) = said["reasons"]
    assert "camera lost" in reason and "/dev/video0" in reason and "stopped delivering" in reason
    assert metrics(visited)["emo_healthy"] == {(): 0.0}


def test_a_source_without_a_frame_is_not_ready(visited: Visited) -> None:
    visited.health.source.turn("opening")
    status, said = health(visited)
    assert status == 503 and "starting" in said["reasons"][0]


def test_a_loop_that_is_stuck_is_not(visited: Visited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "STUCK_SECONDS", 0.3)
    wait_until(lambda: health(visited)[0] == 503)
    assert "stuck" in health(visited)[1]["reasons"][0]
    visited.health.source.turn("lost")
    assert "stuck" in health(visited)[1]["reasons"][0]
    visited.health.source.turn("delivering")
    wait_until(lambda: (visited.health.beat(), health(visited)[0])[1] == 200)


def test_a_loop_that_turns_without_frames_is_well(
    visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "STUCK_SECONDS", 0.3)
    visited.show()

    def seconds_since_frame() -> float:
        visited.health.beat()
        return float(health(visited)[1]["seconds_since_frame"])

    wait_until(lambda: seconds_since_frame() > 0.5)  # --max-fps may be one in a minute
    wait_until(lambda: (visited.health.beat(), health(visited)[0])[1] == 200)


def test_what_is_amiss_beside_the_work_is_a_warning(visited: Visited) -> None:
    visited.health.sinks["mqtt"] = SinkHealth("failing", error="the broker is away")
    visited.health.board = {"celsius": 81.5, "throttled": ["under-voltage"], "level": 2}
    visited.health.source.turn("delivering", "a still picture")
    status, said = health(visited)
    assert status == 200
    assert said["warnings"] == [
        "/dev/video0: a still picture",
        "mqtt is failing: the broker is away",
        "board: under-voltage",
    ]


def test_metrics_tell_the_run(visited: Visited) -> None:
    run = visited.health
    run.source.frames, run.source.skipped, run.source.broken, run.source.reopened = 100, 7, 2, 1
    run.loop.took(1.0, 0.05, (0.01, 0.002, 0.0001), 2)
    run.sinks["mqtt"] = SinkHealth("failing", written=5, dropped=3, error="away")
    run.board = {"celsius": 54.25, "throttled": ["throttled"], "level": 1}
    found = metrics(visited)
    assert found["emo_build_info"][visited.ask("/healthz") and _build()] == 1
    assert found["emo_source_state"] == {("opening",): 0, ("delivering",): 1, ("lost",): 0}
    for name, value in (
        ("emo_source_frames_total", 100), ("emo_source_frames_skipped_total", 7),
        ("emo_source_frames_broken_total", 2), ("emo_source_reopened_total", 1),
        ("emo_frames_total", 1), ("emo_readings_total", 2), ("emo_faces", 2),
        ("emo_board_temperature_celsius", 54.25), ("emo_board_governor_level", 1),
        ("emo_viewers", 0),
    ):  # fmt: skip
        assert found[name] == {(): value}, name
    assert found["emo_sink_up"] == {("mqtt",): 0}
    assert found["emo_sink_written_total"] == {("mqtt",): 5}
    assert found["emo_sink_dropped_total"] == {("mqtt",): 3}
    assert found["emo_board_throttled"] == {("throttled",): 1}
    assert found["process_resident_memory_bytes"][()] > 1e6
    assert found["process_cpu_seconds_total"][()] > 0


def _build() -> tuple[str, str]:
    from emo_edge import __version__

    return (__version__, "drawn-int8")


def test_what_is_not_known_yet_is_left_out(visited: Visited) -> None:
    found = metrics(visited)
    assert "emo_frame_age_seconds" not in found
    assert "emo_board_temperature_celsius" not in found
    assert "emo_sink_up" not in found


def test_labels_are_counted_in_seconds(visited: Visited) -> None:
    def shown() -> dict[tuple[str, ...], float]:
        return metrics(visited).get("emo_expression_seconds_total", {})

    wait_until(lambda: ("happy",) in shown())
    before = shown()["happy",]
    visited.show(reading("happy"), reading("uncertain", track=2))
    wait_until(lambda: ("uncertain",) in shown())
    assert before < shown()["happy",] < before + 5


def test_seconds_count_between_rare_frames_too_but_not_while_a_camera_is_away() -> None:
    history = History()
    times = [0.0, *np.arange(2.0, 21.0, 2.0), 20.1, 500.0]
    for number, at in enumerate(times):
        frame = replace(a_frame(number, at), grabbed_at=at)
        history.take(Moment(number, frame, [reading("happy")], at))
    # The first gap might have been a loss: it counts one second, as the last one does.
    assert history.label_seconds["happy"] == pytest.approx(1 + 18 + 0.1 + 1)


def test_names_from_outside_cannot_break_the_format() -> None:
    from emo_edge.sinks.page.metrics import render

    label = 'a "quoted"\\ label\nof two lines'
    with Visited() as page:
        status = page.ask("/healthz").json
    text = render(status, {"version": "1", "model": label}, {label: 1.5}, 0).decode()
    samples = {s.name: s for family in parse(text) for s in family.samples}
    assert samples["emo_expression_seconds_total"].labels == {"label": label}
    assert samples["emo_build_info"].labels["model"] == label
