"""What a run knows about itself."""

from __future__ import annotations

import json
import threading
import time

import pytest

from emo_edge.health import KEPT_FRAMES, STAGES, Health, SinkHealth


def test_before_anything_happened_what_nobody_knows_is_none() -> None:
    seen = json.loads(json.dumps(Health().snapshot(), allow_nan=False))
    assert seen["loop"]["age_ms"] == {"p50": None, "p90": None, "p99": None}
    assert seen["loop"]["fps"] == 0
    assert (seen["source"]["state"], seen["board"], seen["sinks"]) == ("opening", None, {})


def test_the_rate_and_the_ages_are_those_of_the_last_seconds() -> None:
    health, now = Health(), time.monotonic()
    for number in range(2000):  # two hours ago: slow and old
        health.loop.took(now - 7200 + number, 9.0, (1.0, 1.0, 1.0), 3)
    for number in range(400):  # the last 40 s, 10 a second
        health.loop.took(now - 40 + number / 10, 0.1 + number / 4000, (0.01, 0.002, 0.001), 1)
    seen = health.snapshot()["loop"]
    assert seen["frames"] == 2400
    assert seen["readings"] == 6400
    assert seen["faces"] == 1
    assert seen["fps"] == pytest.approx(10, abs=0.5)
    assert seen["age_ms"]["p50"] == pytest.approx(150, abs=2)
    assert seen["age_ms"]["p99"] == pytest.approx(199, abs=2)
    assert seen["stages_ms"] == {"detect": 10.0, "classify": 2.0, "sinks": 1.0}


def test_a_run_that_has_just_begun_has_a_rate() -> None:
    health, now = Health(), time.monotonic()
    for number in range(60):
        health.loop.took(now - 2 + number / 30, 0.1, (0.0, 0.0, 0.0), 0)
    assert health.snapshot()["loop"]["fps"] == pytest.approx(30, rel=0.1)


def test_more_frames_than_are_kept_are_counted_all_the_same() -> None:
    health, now = Health(), time.monotonic()
    for number in range(KEPT_FRAMES + 100):
        health.loop.took(now - 5 + number / 1000, 0.1, (0.0, 0.0, 0.0), 1)
    seen = health.snapshot()["loop"]
    assert seen["frames"] == KEPT_FRAMES + 100
    assert seen["fps"] == pytest.approx(1000, rel=0.3)


def test_the_state_of_the_source_has_a_beginning() -> None:
    health = Health()
    health.source.since = time.monotonic() - 100
    health.source.turn("opening")
    assert health.snapshot()["source"]["seconds_in_state"] >= 100
    health.loop.took(time.monotonic(), 0.1, [0.0] * len(STAGES), faces=2)
    assert health.snapshot()["loop"]["faces"] == 2
    health.source.turn("lost", "it is gone")
    assert health.snapshot()["loop"]["faces"] == 0  # nobody knows who is there
    seen = health.snapshot()["source"]
    assert seen["seconds_in_state"] < 50
    assert (seen["state"], seen["error"]) == ("lost", "it is gone")


def test_numbers_that_belong_together_are_never_seen_apart() -> None:
    health = Health()
    health.sinks["page"] = SinkHealth()
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            with health.lock:
                health.source.frames += 1
                health.source.skipped += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            seen = health.snapshot()["source"]
            assert seen["frames"] == seen["skipped"]
    finally:
        done.set()
        writer.join()
