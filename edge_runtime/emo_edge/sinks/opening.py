"""The outputs that a user asked for, opened: all of them, or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emo_edge.errors import UsageError
from emo_edge.messages import say, warn

if TYPE_CHECKING:
    from emo_edge.health import Health
    from emo_edge.sinks import Sink
    from emo_edge.sinks.mqtt.address import Address
    from emo_edge.sinks.page.serving import Serving
    from emo_edge.sinks.page.upload import MakePipeline
    from emo_edge.sources import Source
    from emo_edge.spec import ModelSpec

# Frames that may wait for the encoder: half a second at its own rate.
RECORDING_WAITS = 8
# Frames, without their pictures, that may wait for a log: an SD card can pause for seconds.
LOG_WAITS = 512


@dataclass(frozen=True)
class Outputs:
    """What to write where; None for nothing.

    Attributes:
        jsonl: JSON-lines file, "-" for stdout.
        csv: CSV file, "-" for stdout.
        record: Annotated video (.mp4).
        snapshot: Newest annotated face (.jpg, .png and so on).
        log_size: Megabytes at which a JSON-lines or CSV file is renamed to FILE.1; 0 for never.
        serving: The page.
        mqtt: The broker.
    """

    jsonl: str | None = None
    csv: str | None = None
    record: Path | None = None
    snapshot: Path | None = None
    log_size: float = 0.0
    serving: Serving | None = None
    mqtt: Address | None = None


@contextmanager
def open_sinks(
    outputs: Outputs,
    source: Source,
    spec: ModelSpec,
    health: Health,
    make_pipeline: MakePipeline,
) -> Iterator[list[Sink]]:
    """Open the outputs, each isolated from the others; the console too, unless stdout is taken.

    Args:
        outputs: What the user asked for.
        source: Open.
        spec: Of the model.
        health: Of the run.
        make_pipeline: Makes a pipeline for pictures that visitors of the page send.

    Raises:
        OutputError: one of them cannot be written; nothing is left behind.
        UsageError: two of them want the same place, one would overwrite what is read, or one
            cannot be had from this source.
    """
    _refuse_shared(outputs, source)
    if outputs.record is not None or outputs.snapshot is not None:
        _name_undrawable(spec.labels)
    with ExitStack() as opened:
        sinks = _opened(outputs, source, spec, health, make_pipeline)
        yield [opened.enter_context(closing(sink)) for sink in sinks]


def _refuse_shared(outputs: Outputs, source: Source) -> None:
    from emo_edge.sources import reads

    asked = {
        "--jsonl": outputs.jsonl,
        "--csv": outputs.csv,
        "--record": outputs.record,
        "--snapshot": outputs.snapshot,
    }
    taken: dict[str, str] = {}
    for option, target in asked.items():
        if target is None:
            continue
        path = Path(target).resolve()
        if target != "-" and source.kind != "live" and reads(source.name, path):
            raise UsageError(f"{option} {target} is among what is read: choose another place")
        place = "stdout" if target == "-" else str(path)
        if place in taken:
            raise UsageError(f"{taken[place]} and {option} want the same place: {target}")
        taken[place] = option


def _name_undrawable(labels: Sequence[str]) -> None:
    """Say once which labels pictures show otherwise."""
    from emo_edge.annotate import drawable

    shown = [f"{label} as {name!r}" for label, name in drawable(tuple(labels)).items()
             if name != label]  # fmt: skip
    if shown:
        warn(f"pictures show ASCII alone: {', '.join(shown)}")


def _opened(
    outputs: Outputs,
    source: Source,
    spec: ModelSpec,
    health: Health,
    make_pipeline: MakePipeline,
) -> Iterator[Sink]:
    """Yield each sink as soon as it is open, so that it is closed if a later one refuses."""
    from emo_edge.sinks.background import Background
    from emo_edge.sinks.isolation import Isolated

    live, limit = source.kind == "live", round(outputs.log_size * 1e6)

    def isolated(name: str, sink: Sink, waiting: int = 0, *, pictures: bool = True) -> Sink:
        alone = Isolated(name, sink, health)
        # From a file every frame is written, in order, however long it takes.
        return Background(alone, waiting, pictures=pictures) if waiting and live else alone

    def log(name: str, sink: Sink, target: str) -> Sink:
        # The end of stdout's reader ends the run: at once, so from this thread.
        return isolated(name, sink, 0 if target == "-" else LOG_WAITS, pictures=False)

    if "-" not in (outputs.jsonl, outputs.csv):  # the timeline would spoil them
        from emo_edge.sinks.console import Console

        yield isolated("console", Console(source.kind))
    if outputs.jsonl is not None:
        from emo_edge.sinks.jsonl import JsonLines

        lines = JsonLines(outputs.jsonl, source.kind, limit=limit)
        yield log("jsonl", lines, outputs.jsonl)
    if outputs.csv is not None:
        from emo_edge.sinks.table import Table

        table = Table(outputs.csv, source.kind, spec.labels, limit=limit)
        yield log("csv", table, outputs.csv)
    if outputs.record is not None:
        from emo_edge.sinks.recording import Recording

        recording = Recording(outputs.record, source.kind, source.fps)
        yield isolated("record", recording, RECORDING_WAITS)
    if outputs.snapshot is not None:
        from emo_edge.sinks.snapshot import Snapshot

        yield isolated("snapshot", Snapshot(outputs.snapshot), 1)
    if outputs.mqtt is not None:
        from emo_edge.sinks.mqtt.sink import Mqtt

        yield Mqtt(outputs.mqtt, source.name, spec.labels, health)
    if outputs.serving is not None:
        yield isolated("page", _open_page(outputs.serving, health, spec, make_pipeline))


def _open_page(
    serving: Serving, health: Health, spec: ModelSpec, make_pipeline: MakePipeline
) -> Sink:
    from emo_edge.sinks.page.page import Page

    page = Page(serving, health, spec, make_pipeline)
    say(f"page: {page.url}")
    if serving.open_to_all:
        warn("the page is open to whoever is in the network")
    return page
