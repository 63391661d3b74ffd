"""What the whole loop costs: the loop of `emo-edge` itself, on a real source, with instruments.

Costs are CPU milliseconds of the whole process; ages are wall time. "own" is what the loop costs
by itself: all but decoding, the detector and the interpreter.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emo_bench.audience import watched_page
from emo_bench.detector_names import real_name
from emo_bench.endless import open_endless
from emo_bench.meters import Histogram, StageClock, VitalSigns
from emo_bench.results import identity
from emo_edge import loop
from emo_edge.artifacts import as_text
from emo_edge.board.life import signs_of_life
from emo_edge.classifier import Classifier
from emo_edge.contract import Box, Image, Probabilities, prepare
from emo_edge.detectors import make_detector
from emo_edge.errors import NoFaceError, SourceError, UsageError
from emo_edge.footprint import drop_idle_code, share_one_heap
from emo_edge.health import Health
from emo_edge.modelfile import read_model
from emo_edge.pace import Pace
from emo_edge.pipeline import Pipeline, Reading
from emo_edge.signals import stop_signals
from emo_edge.sinks import Sink
from emo_edge.sinks.isolation import Isolated
from emo_edge.sinks.jsonl import JsonLines
from emo_edge.sources import Frame, Source

STAGES = ("decode", "detect", "prepare", "invoke", "sinks")
OTHERS = ("decode", "detect", "invoke")  # what is not the loop's own
WARM_UP_FRAMES = 30
LOG_BYTES = 10_000_000
LEAST_FRAMES_FOR_SLOPE = 5000  # a process of some seconds is still finding its size


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        source: As for `emo-edge --source`; a video begins anew at its end.
        model: Model file.
        detector: Name of the face detector.
        backend: Name of the runtime.
        threads: Of the runtime.
        seconds: When to end.
        frames: When to end, if that is earlier; counted after the warm-up.
        preload: Keep the first frames in memory and repeat those: nothing is decoded.
        page: Serve the page too, to somebody who looks at it all the time.
    """

    source: str
    model: Path
    detector: str = "auto"
    backend: str = "auto"
    threads: int = 1
    seconds: float = 30.0
    frames: int | None = None
    preload: bool = False
    page: bool = False


def measure(plan: Plan) -> dict[str, Any]:
    """Run the loop and return what it cost; Ctrl-C ends the run early, not in vain."""
    if not Path("/proc/self/statm").exists():
        raise UsageError("this benchmark reads /proc: it runs on Linux only")
    if read_model(plan.model).spec is None:
        raise UsageError(f"{plan.model} carries no emo-toolkit metadata: convert it first")
    share_one_heap()  # as `emo-edge` does
    drop_idle_code()
    run = _Run(plan)
    with (
        stop_signals() as stop,
        open_endless(plan.source, run.health, run.clock, stop, preload=plan.preload) as source,
    ):
        run.go(source, stop)
    return {
        **identity(plan.model),
        "runtime": run.classifier.interpreter.backend.version,
        "threads": plan.threads,
        "detector": real_name(plan.detector),
        "source": as_text(Path(plan.source).name),
        "preloaded": plan.preload,
        "page": plan.page,
        **run.summary(),
    }


class _Run:
    def __init__(self, plan: Plan) -> None:
        self.plan, self.health, self.clock = plan, Health(), StageClock()
        self.classifier = Classifier(plan.model, backend=plan.backend, threads=plan.threads)
        self._detect = make_detector(plan.detector)
        self._signs = VitalSigns()
        self._size = (0, 0)
        self._cpu = self._wall = 0.0
        self._begin()

    def go(self, source: Source, interrupted: Callable[[], bool]) -> None:
        spec, timed = self.classifier.spec, self.clock.timed
        prepared, invoke = timed("prepare", prepare), timed("invoke", self.classifier.classify)

        def classify(image: Image, box: Box) -> Probabilities:
            return invoke(prepared(image, spec, box))  # what `Classifier` does, in its two steps

        def stop() -> bool:
            frames = self.health.loop.frames
            self._count()
            self._signs.look(frames)
            over = interrupted() or frames == last or time.monotonic() > self._end
            if frames == WARM_UP_FRAMES and not over:  # a run that ends here counts what it has
                self._begin()
            return over

        last = None if self.plan.frames is None else WARM_UP_FRAMES + self.plan.frames
        self._end = time.monotonic() + self.plan.seconds
        pace = Pace()
        with (
            _log(source, self.health) as log,
            self._page() as page,
            signs_of_life(source, self.health, pace, None) as beats,
        ):
            sinks = [_Tap(self._watch), *(_Tap(timed("sinks", sink)) for sink in (log, *page))]
            find = timed("detect", self._detect)
            drop_idle_code()
            loop.run(source, find, classify, spec, sinks, self.health, beats, pace=pace, stop=stop)
        self._cpu = time.process_time() - self._cpu
        self._wall = time.monotonic() - self._wall
        if self.health.loop.frames == self._first:
            raise SourceError(f"no frame of {self.plan.source} was read in time")
        if not self.health.loop.readings:
            raise NoFaceError(f"no face found in {self.plan.source}: nothing to measure")

    @contextmanager
    def _page(self) -> Iterator[list[Sink]]:
        if not self.plan.page:
            yield []
            return
        spec = self.classifier.spec
        with watched_page(self.health, spec, self.plan.model.stem, self._for_pictures) as sink:
            yield [sink]

    def _for_pictures(self) -> Pipeline:
        """Return what reads the pictures that the page is sent: an interpreter of its own."""
        plan = self.plan
        classifier = Classifier(plan.model, backend=plan.backend, threads=plan.threads)
        return Pipeline(make_detector(plan.detector), classifier, classifier.spec, "stills")

    def _begin(self) -> None:
        """Measure from here on: what came before was a warm-up."""
        self._first, self._first_reading = self.health.loop.frames, self.health.loop.readings
        self._skipped = self.health.source.skipped
        self.clock.seconds.clear()
        self.clock.calls.clear()
        self._ages, self._frame_costs, self._own_costs = Histogram(), Histogram(), Histogram()
        self._counted = (time.process_time(), 0.0)
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def _count(self) -> None:
        """Count the CPU time since the last frame, and the loop's own part of it."""
        now, others = time.process_time(), sum(self.clock.seconds.get(n, 0.0) for n in OTHERS)
        spent = now - self._counted[0]
        self._frame_costs.add(1000 * spent)
        self._own_costs.add(1000 * (spent - others + self._counted[1]))
        self._counted = now, others

    def _watch(self, frame: Frame, found: Sequence[Reading]) -> None:  # noqa: ARG002 (a sink's)
        self._ages.add(1000 * (time.monotonic() - frame.grabbed_at))
        self._size = frame.image.shape[1], frame.image.shape[0]

    def summary(self) -> dict[str, Any]:
        frames = self.health.loop.frames - self._first
        ms = {name: 1000 * self.clock.seconds.get(name, 0.0) for name in STAGES}
        faces, total = self.clock.calls.get("invoke", 0), 1000 * self._cpu
        own = total - sum(ms[name] for name in OTHERS)
        per_frame = {**ms, "rest": total - sum(ms.values()), "own": own, "total": total}
        settled = self._signs.settled()
        return {
            "frame_size": list(self._size),
            "frames": frames,
            "faces": faces,
            "readings": self.health.loop.readings - self._first_reading,
            "skipped_frames": self.health.source.skipped - self._skipped,
            "seconds": round(self._wall, 2),
            "fps": round(frames / self._wall, 2),
            "age_ms": _percentiles(self._ages),
            "cpu_ms_per_frame": {name: round(v / frames, 4) for name, v in per_frame.items()},
            "total_cpu_ms": _percentiles(self._frame_costs),
            "own_cpu_ms": _percentiles(self._own_costs),
            "cpu_ms_per_face": {
                name: round(ms[name] / faces, 4) if faces else None
                for name in ("prepare", "invoke")
            },
            "detector_calls_per_frame": round(self.clock.calls.get("detect", 0) / frames, 3),
            "rss_mib": {
                "start": round(float(settled[0, 2]), 2),
                "end": round(float(settled[-1, 2]), 2),
                "peak": round(float(settled[:, 2].max()), 2),
            },
            "rss_mib_per_million_frames": self._slope("frames", 1e6),
            "rss_mib_per_hour": self._slope("seconds", 3600.0),
            "descriptors": self._signs.first_and_last("descriptors"),
            "threads_of_process": self._signs.first_and_last("threads"),
            "vital_signs": self._signs.table(),
            "warnings": self._warnings(),
        }

    def _slope(self, per: str, unit: float) -> dict[str, float] | None:
        found = self._signs.memory_slope(per)
        if found is None or self.health.loop.frames < LEAST_FRAMES_FOR_SLOPE:
            return None
        return {name: round(value * unit, 3) for name, value in vars(found).items()}

    def _warnings(self) -> list[str]:
        found = []
        slope = self._slope("frames", 1e6)
        if slope is not None and slope["low"] > 0:
            text = "{value} MiB per million frames (95 %: {low} to {high})".format(**slope)
            found.append(f"resident memory grew by {text}")
        for name in ("descriptors", "threads"):
            first, last = self._signs.first_and_last(name)
            if last > first:
                found.append(f"{name} rose from {first} to {last}")
        return found


class _Tap:
    """A sink that is a function.

    Args:
        step: Is given every frame with its readings.
    """

    def __init__(self, step: Callable[[Frame, Sequence[Reading]], object]) -> None:
        self._step = step

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Hand on."""
        self._step(frame, readings)

    def close(self) -> None:
        """Nothing to close."""


@contextmanager
def _log(source: Source, health: Health) -> Iterator[Sink]:
    """Yield `emo-edge --jsonl` into a file that is bounded and thrown away."""
    with tempfile.TemporaryDirectory(prefix="emo-bench-") as folder:
        lines = JsonLines(str(Path(folder, "readings.jsonl")), source.kind, limit=LOG_BYTES)
        with closing(Isolated("jsonl", lines, health)) as log:
            yield log


def _percentiles(histogram: Histogram) -> dict[str, float | None]:
    found = {f"p{p}": histogram.percentile(p) for p in (50, 90, 95, 99)}
    return {name: None if value is None else round(value, 3) for name, value in found.items()}
