"""A run, put together from its options: source, detector, classifier, outputs, signs of life."""

from __future__ import annotations

import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

from emo_edge import loop
from emo_edge.board.life import signs_of_life
from emo_edge.classifier import Classifier
from emo_edge.detectors import best_detector, make_detector
from emo_edge.errors import NoFaceError, OutputError
from emo_edge.footprint import drop_idle_code, share_one_heap
from emo_edge.health import Health
from emo_edge.messages import say
from emo_edge.pace import Pace
from emo_edge.pipeline import Pipeline
from emo_edge.signals import stop_signals
from emo_edge.sinks.isolation import losses
from emo_edge.sinks.opening import Outputs, open_sinks
from emo_edge.sources import Asked, open_source
from emo_edge.sources.settings import parse_size
from emo_edge.tuning.memory import recall


def run_loop(
    text: str,
    *,
    size: str | None,
    fps: float | None,
    model: Path,
    labels: Path | None,
    input_range: tuple[float, float] | None,
    detector: str,
    backend: str,
    threads: int | None,
    tuned: bool,
    smallest_face: float,
    max_fps: float | None,
    celsius_limit: float | None,
    outputs: Outputs,
) -> None:
    """Run to the end of the source or to a signal; the arguments are the options of `emo-edge`."""
    share_one_heap()
    drop_idle_code()
    asked = _asked(size, fps)
    find = make_detector(detector, smallest_face)
    if tuned and backend == "auto" and threads is None:
        model, backend, threads = _tuned(model)
        if outputs.serving is not None:  # the page names what really runs
            outputs = replace(outputs, serving=replace(outputs.serving, model=model.stem))
    load = partial(
        Classifier,
        model,
        labels=labels,
        input_range=input_range,
        backend=backend,
        threads=threads or 1,
    )
    classifier = load()
    health, pace = Health(), Pace(max_fps)
    spec = classifier.spec

    def for_pictures() -> Pipeline:
        name = best_detector() if detector == "auto" else detector
        return Pipeline(make_detector(name, smallest_face), load(), spec, "stills")

    # The sinks are closed before signals may end the process again.
    with (
        open_source(text, health, asked) as source,
        stop_signals() as stop,
        open_sinks(outputs, source, spec, health, for_pictures) as sinks,
        signs_of_life(source, health, pace, celsius_limit) as beats,
    ):
        drop_idle_code()
        loop.run(source, find, classifier, spec, sinks, health, beats, pace=pace, stop=stop)
    _conclude(health, stop.signal, smallest_face)


def _asked(size: str | None, fps: float | None) -> Asked | None:
    if size is None:
        return None if fps is None else Asked(fps=fps)
    width, height = parse_size(size)
    return Asked(width, height, fps)


def _tuned(model: Path) -> tuple[Path, str, int]:
    """Return model file, backend and threads: those that `emo-edge tune` found, or the defaults."""
    best, outdated = recall(model)
    if outdated:
        say(f"what emo-edge tune found is out of date ({outdated}): run it again")
    if best is None:
        return model, "auto", 1
    say(f"tuned: {best.model.name} on {best.backend}, {best.threads} thread(s)")
    return best.model, best.backend, best.threads


def _conclude(health: Health, stopped_by: int, smallest_face: float) -> None:
    """Say what was read, and raise what the exit code is to tell."""
    name, read = health.source.name, health.loop
    say(f"{name}: {read.frames} frame(s), {read.readings} reading(s)")
    if lost := losses(health, whole=not stopped_by):
        raise OutputError(lost)
    if stopped_by == signal.SIGINT:
        raise KeyboardInterrupt
    # Whoever ends a service or closes a terminal has not asked for faces.
    if not read.readings and not stopped_by:
        raise NoFaceError(
            f"no face found in {name}: faces must be frontal and larger than "
            f"1/{1 / smallest_face:.0f} of the picture; for pictures that are face crops add "
            "--detector none"
        )
