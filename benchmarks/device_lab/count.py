r"""Instructions that a Raspberry Pi 3, 4 and 5 execute, counted by an emulator.

    python benchmarks/device_lab/count.py --yunet face_detection_yunet_2023mar.onnx \
        --json benchmarks/results/instructions.json --markdown benchmarks/results/instructions.md

Run it with the Python of the workstation install, on Debian. See docs/instructions.md.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from boards import BOARDS
from debian import LabError
from installing import build
from userland import RUNTIMES, Userland, counter, default_folder, require_tools

from emo_bench.grids import Grid
from emo_bench.grids import markdown as grid_markdown
from emo_bench.results import Job, Outcome, identity, measure_all, write
from emo_edge.artifacts import write_bytes
from emo_edge.commands import guarded
from emo_edge.errors import UsageError
from emo_edge.shipped import find_model, shipped_models
from emo_train.synthetic import write_video

WORKLOAD = Path(__file__).with_name("workload.py")
BOARDS_COUNTED = ["pi3", "pi4", "pi5"]
SUITES_COUNTED = ["bookworm", "trixie"]  # the plugin knows 64-bit system calls
FRAMES = 30
COUNTS = (
    "invoke",
    "jpeg",
    "haar search",
    "haar frame",
    "haar frame: own",
    "yunet search",
    "yunet frame",
    "yunet frame: own",
)


def draw_frames(folder: Path) -> None:
    """Draw a second of one person in front of a camera, 640x480, as JPEG files."""
    write_video(folder / "drawn.mp4", timeline=(("happy", 1.0),), fps=FRAMES)
    capture = cv2.VideoCapture(str(folder / "drawn.mp4"))
    for number in range(FRAMES):
        ok, image = capture.read()
        if not ok:
            raise LabError(f"the drawn video ends after {number} frames")
        cv2.imwrite(str(folder / f"{number:02d}.jpg"), image)
    capture.release()


class Lab:
    """Counts in one userland.

    Args:
        userland: Where the guest's programs lie.
        plugin: From `counter`.
        work: For logs and the guest's cache.
        frames: Folder of JPEG files.
        detectors: Names.
    """

    def __init__(
        self,
        userland: Userland,
        plugin: Path,
        work: Path,
        frames: Path,
        detectors: tuple[str, ...],
    ) -> None:
        self.userland, self.plugin, self.work = userland, plugin, work
        self.frames, self.detectors = frames, detectors
        self._searched: dict[str, list[int]] = {}

    def count(self, models: Sequence[Path], board: str, suite: str, backend: str) -> dict[str, Any]:
        """Return millions of instructions by model (`models`); the same numbers every time.

        Searches and frames are counted the first time alone: neither the core nor the runtime
        matters to OpenCV and the loop.
        """
        BOARDS[board].write(self.userland.root)
        log = self.work / f"marks-{suite}.log"
        log.unlink(missing_ok=True)
        detectors = "" if self._searched else ",".join(self.detectors)
        told = self._guest(board, log, self.frames, backend, detectors, *models)
        marks = [
            int(line.split()[2])
            for line in log.read_text(encoding="utf-8").splitlines()
            if line.startswith("mark ")
        ]
        spans = told["spans"]
        if len(marks) != 2 * len(spans):
            raise LabError(f"{len(marks)} marks for {len(spans)} spans: did the guest crash?")
        counts = defaultdict(list, self._searched)
        for name, begin, end in zip(spans, marks[::2], marks[1::2], strict=True):
            counts[name].append(end - begin)
        searched = {name for name in counts if name.startswith(self.detectors)}
        self._searched = {name: counts[name] for name in searched}
        conditions = {
            "board": BOARDS[board].model,
            "cpu": BOARDS[board].cpu,
            "suite": suite,
            "runtime": told["runtime"],
        }
        summaries = _summaries(counts, self.detectors)
        return {
            "models": [
                {**identity(model), **conditions, "million_instructions": summary}
                for model, summary in zip(models, summaries, strict=True)
            ]
        }

    def _guest(self, board: str, log: Path, *words: object) -> dict[str, Any]:
        counting = ("-d", "plugin", "-D", log, "-plugin", self.plugin)
        command = [*self.userland.emulated(*counting), WORKLOAD, *words]
        environment = {
            **self.userland.login(board, beside=True),
            "PYTHONHASHSEED": "0",
            "XDG_CACHE_HOME": str(self.work / "cache"),
        }
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
            raise LabError(f"the guest ended with {done.returncode}: {lines[-1][:300]}")
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told


def _summaries(
    counts: Mapping[str, list[int]], detectors: tuple[str, ...]
) -> Iterator[dict[str, float]]:
    """Yield each model's millions; those of a frame are the mean of a cycle.

    Frames were read with the first model: what else is executed for them does not depend on it.
    What marking itself takes is left out.
    """
    nothing = min(counts["nothing"])

    def total(name: str) -> int:
        return sum(count - nothing for count in counts[name])

    for invoke in (count - nothing for count in counts["invoke"]):
        found = {"invoke": invoke, "jpeg": total("jpeg")}
        for name in detectors:
            frame = f"{name} frame"
            cycle, invoked = len(counts[frame]), counts[f"{frame}: invoke"]
            rest = total(frame) - total(f"{frame}: invoke")
            found[f"{name} search"] = total(f"{name} search")
            found[frame] = round((rest + len(invoked) * invoke) / cycle)
            found[f"{frame}: own"] = round((rest - total(f"{frame}: detect")) / cycle)
        yield {name: round(count / 1e6, 3) for name, count in found.items()}


def count_all(models: Sequence[Path], labs: Mapping[str, Lab], boards: Sequence[str]) -> Outcome:
    """Count every model on every runtime of every userland (by suite), as every board."""
    with ExitStack() as stack:
        jobs = list[Job]()
        for suite, lab in labs.items():
            # A userland is one board at a time; another one may be another board meanwhile.
            hand = ThreadPoolExecutor(1)
            stack.callback(hand.shutdown, cancel_futures=True)
            for runtime in filter(lab.userland.has, RUNTIMES):
                for board in boards:
                    counted = hand.submit(lab.count, models, board, suite, runtime)
                    jobs.append((f"{board}, {suite}, {runtime}", counted.result))
        done = measure_all("instructions", jobs)
    by_model = zip(*(result["models"] for result in done.results), strict=True)
    results = [result for same in by_model for result in same]
    # That this machine was busy meanwhile says nothing of counts.
    return dataclasses.replace(done, results=results, warnings=[])


def report(outcome: Outcome) -> str:
    """Return the table in Markdown."""
    rows = [
        (
            result["model"],
            f"{result['board'].split(' Model')[0]}, {result['cpu']}",
            f"{result['runtime']}, {result['suite']}",
            *(_million(result["million_instructions"].get(name)) for name in COUNTS),
        )
        for result in outcome.results
    ]
    columns = ("model", "board, core", "runtime", *COUNTS)
    return grid_markdown(Grid("Millions of instructions, 640x480", columns, rows, left=3))


def _million(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


@guarded
def main(
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for the userlands: 0.7 GB.  [default: as make device-test]"),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Model files, or shipped ones by name.  [default: all shipped]"),
    ] = None,
    suite: Annotated[list[str] | None, typer.Option(help="bookworm, trixie.")] = None,
    board: Annotated[list[str] | None, typer.Option(help="pi3, pi4, pi5.")] = None,
    yunet: Annotated[Path | None, typer.Option(help="YuNet's file, to count it too.")] = None,
    json_file: Annotated[Path, typer.Option("--json", help="Results.")] = Path("instructions.json"),
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="Table.")] = None,
) -> None:
    """Count the instructions of an inference, a detection and a frame on every board."""
    require_tools()
    models = [find_model(name).absolute() for name in model or shipped_models()]
    boards, suites = board or BOARDS_COUNTED, suite or SUITES_COUNTED
    for name, known in (
        *((b, BOARDS_COUNTED) for b in boards),
        *((s, SUITES_COUNTED) for s in suites),
    ):
        if name not in known:
            raise UsageError(f"unknown {name!r}; choose from {', '.join(known)}")
    work = default_folder() if work is None else work.expanduser().absolute()
    if yunet is not None:
        _fetch_yunet(work, yunet)
    detectors = ("haar",) if yunet is None else ("haar", "yunet")
    with tempfile.TemporaryDirectory() as folder:
        draw_frames(Path(folder))
        plugin = counter(work)
        labs = {
            name: Lab(build(work, name), plugin, work, Path(folder), detectors) for name in suites
        }
        outcome = count_all(models, labs, boards)
    write(json_file, outcome)
    text = report(outcome)
    if markdown_file is not None:
        write_bytes(markdown_file, f"{text}\n".encode())
    print(text)
    if outcome.failures:
        raise typer.Exit(outcome.exit_code)


def _fetch_yunet(work: Path, file: Path) -> None:
    from emo_edge.detectors.fetch import fetch_yunet

    os.environ["XDG_CACHE_HOME"] = str(work / "cache")  # for the guest, not for this user
    fetch_yunet(str(file))


if __name__ == "__main__":
    typer.run(main)
