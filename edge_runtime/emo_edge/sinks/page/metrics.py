"""The run's health in the Prometheus text format, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SOURCE_STATES = ("opening", "delivering", "lost")

Samples = list[tuple[dict[str, str], float | None]]


class Metric(NamedTuple):
    """A metric family; samples whose value is None are left out."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: Samples


def render(
    status: Mapping[str, Any],
    about: Mapping[str, Any],
    label_seconds: Mapping[str, float],
    viewers: int,
) -> bytes:
    """Return everything that a scrape gets.

    Args:
        status: `Broadcast.status()`.
        about: Model and version.
        label_seconds: Seconds that each label was shown.
        viewers: Clients that watch pictures or readings.
    """
    families = [
        *_run(status, about, label_seconds, viewers),
        *_source(status["source"]),
        *_loop(status["loop"]),
        *_sinks(status["sinks"]),
        *_board(status["board"] or {}),
        *_process(),
    ]
    text = "".join(_text(family) for family in families)
    return text.encode(errors="backslashreplace")  # the name of a file need not be UTF-8


def _run(
    status: Mapping[str, Any],
    about: Mapping[str, Any],
    label_seconds: Mapping[str, float],
    viewers: int,
) -> Iterator[Metric]:
    build = {"version": about["version"], "model": about["model"]}
    shown: Samples = [({"label": name}, seconds) for name, seconds in label_seconds.items()]
    yield Metric("emo_build_info", "gauge", "Version and model.", [(build, 1)])
    yield Metric("emo_healthy", "gauge", "1 if /healthz answers 200.", [({}, status["ok"])])
    yield Metric("emo_uptime_seconds", "gauge", "Age of the run.", [({}, status["uptime"])])
    yield Metric("emo_viewers", "gauge", "Clients that watch the page.", [({}, viewers)])
    yield Metric(
        "emo_expression_seconds_total", "counter",
        "Seconds for which each label was shown, all faces together.", shown,
    )  # fmt: skip


def _source(source: Mapping[str, Any]) -> Iterator[Metric]:
    states: Samples = [({"state": name}, name == source["state"]) for name in SOURCE_STATES]
    yield Metric("emo_source_state", "gauge", "1 for the state that the source is in.", states)
    for name, key, what in (
        ("frames", "frames", "Frames that arrived."),
        ("frames_skipped", "skipped", "Frames too old when the loop came for the next one."),
        ("frames_broken", "broken", "Frames that arrived damaged."),
        ("reopened", "reopened", "Times that a lost camera was found again."),
    ):
        yield Metric(f"emo_source_{name}_total", "counter", what, [({}, source[key])])


def _loop(loop: Mapping[str, Any]) -> Iterator[Metric]:
    ages: Samples = [({"percentile": name}, _s(ms)) for name, ms in loop["age_ms"].items()]
    stages: Samples = [({"stage": name}, _s(ms)) for name, ms in loop["stages_ms"].items()]
    yield Metric("emo_frames_total", "counter", "Frames analysed.", [({}, loop["frames"])])
    yield Metric("emo_readings_total", "counter", "Readings given.", [({}, loop["readings"])])
    yield Metric("emo_faces", "gauge", "Faces in the newest frame.", [({}, loop["faces"])])
    yield Metric("emo_frames_per_second", "gauge", "Over the last 10 s.", [({}, loop["fps"])])
    yield Metric(
        "emo_frame_age_seconds", "gauge",
        "From capture to readings, over the last minute.", ages,
    )  # fmt: skip
    yield Metric(
        "emo_stage_seconds", "gauge", "Mean of each stage per frame, over the last minute.", stages
    )


def _sinks(sinks: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    def each(key: str) -> Samples:
        return [({"sink": name}, sink[key]) for name, sink in sinks.items()]

    up: Samples = [({"sink": name}, sink["state"] == "ok") for name, sink in sinks.items()]
    yield Metric("emo_sink_up", "gauge", "1 while the sink works.", up)
    yield Metric("emo_sink_written_total", "counter", "Frames written.", each("written"))
    yield Metric("emo_sink_dropped_total", "counter", "Frames dropped.", each("dropped"))


def _board(board: Mapping[str, Any]) -> Iterator[Metric]:
    yield Metric(
        "emo_board_temperature_celsius", "gauge", "Of the CPU.", [({}, board.get("celsius"))]
    )
    flags: Samples = [({"flag": flag}, 1) for flag in board.get("throttled") or ()]
    yield Metric("emo_board_throttled", "gauge", "1 for each reason now.", flags)
    yield Metric(
        "emo_board_governor_level", "gauge", "0 is full speed.", [({}, board.get("level"))]
    )


def _process() -> Iterator[Metric]:
    """The names that every Prometheus client library gives."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    yield Metric("process_cpu_seconds_total", "counter", "CPU time of the process.", [({}, cpu)])
    yield Metric(
        "process_resident_memory_bytes", "gauge", "Resident memory.", [({}, _resident_bytes())]
    )


def _resident_bytes() -> float | None:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:  # not Linux
        return None
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


def _s(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _text(family: Metric) -> str:
    """Return the lines of a family; nothing if it has no sample."""
    lines = [
        f"{family.name}{_labels(labels)} {float(value)!r}\n"
        for labels, value in family.samples
        if value is not None
    ]
    if not lines:
        return ""
    head = f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"
    return head + "".join(lines)


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
