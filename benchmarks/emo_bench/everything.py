"""`emo-bench all`: the single benchmarks, each as the command that one would type, and a report."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from emo_bench.results import INTERRUPTED, Outcome, read
from emo_edge.artifacts import require_writable
from emo_edge.contract import read_image
from emo_edge.errors import DataError, UsageError
from emo_edge.messages import say, warn
from emo_edge.runfolder import EVALUATION, SPEC
from emo_edge.shipped import find_model
from emo_edge.sources import is_camera, open_source


@dataclass(frozen=True)
class Wanted:
    """What is asked of `emo-bench all`.

    Attributes:
        models: Run folders, model files, names of shipped models.
        report: Folder to make.
        data: Labelled faces; a single run folder brings its own.
        source: A video or camera for the whole loop; None leaves it out.
        timing: Options of `emo-bench latency`, as typed.
        scoring: Options of `emo-bench accuracy`, as typed.
        looping: Options of `emo-bench pipeline`, as typed.
    """

    models: Sequence[str]
    report: Path
    data: Path | None
    source: str | None
    timing: Sequence[str] = ()
    scoring: Sequence[str] = ()
    looping: Sequence[str] = ()


def run_all(wanted: Wanted) -> tuple[list[Outcome], int]:
    """Run the benchmarks; return what they found, and the first exit code that is not 0.

    Ctrl-C ends the command at hand, which keeps what it has, and leaves out those after it. The
    folder is made by the first of them that has something to keep.

    Raises:
        UsageError: a report that is there already, or nothing to measure.
        OutputError: no report can be written there.
    """
    if wanted.report.exists():
        raise UsageError(f"{wanted.report} exists; choose another --report, or remove it")
    require_writable(wanted.report)
    steps = list(_steps(wanted))
    if not steps:
        raise UsageError(
            "nothing to measure: give --data FACES to score the models, or make a .tflite of a run "
            "folder first, with emo-convert"
        )
    outcomes, code = [], 0
    for number, (words, json_file) in enumerate(steps, start=1):
        say(f"[{number}/{len(steps)}] $ {shlex.join(['emo-bench', *words])}")
        ended = _command([*words, "--json", str(json_file)])
        code = code or ended
        if json_file.exists():
            outcomes.append(read(json_file))
        if ended == INTERRUPTED:
            return outcomes, INTERRUPTED
    return outcomes, code


def require_inputs(data: Path | None, picture: Path | None, source: str | None) -> None:
    """Refuse what cannot be measured with; cameras and streams are opened only when it is time.

    Raises:
        DataError: data that is not there, or a picture that is none.
        SourceError: a video that is none.
        UsageError: a source that is no camera or video.
    """
    if data is not None and not data.exists():
        raise DataError(f"{data} does not exist")
    if picture is not None:
        read_image(picture)
    if source is None or is_camera(source) or "://" in source:
        return
    with open_source(source) as opened:
        if opened.kind == "stills":
            raise UsageError(f"{source} is no camera or video")


def _steps(wanted: Wanted) -> Iterator[tuple[list[str], Path]]:
    """Yield the commands, accuracy first, each with the file for its results."""
    exports = [str(path) for text in wanted.models for path in _exports(text)]
    data = wanted.data or _own_data(wanted.models)
    if data is not None:
        models = [part for text in wanted.models for part in _scored(text)]
        words = ["accuracy", *models, "--data", str(data), *wanted.scoring]
        yield words, wanted.report / "accuracy.json"
    else:
        warn("no --data: accuracy is left out")
    if exports:
        yield ["latency", *exports, *wanted.timing], wanted.report / "latency.json"
    if wanted.source is not None:
        for number, model in enumerate(exports):
            words = ["pipeline", "--source", wanted.source, "--model", model, *wanted.looping]
            yield words, wanted.report / f"pipeline-{number}.json"


def _exports(text: str) -> list[Path | str]:
    """Return what of this a device can run: the .tflite files of a run folder, or the model."""
    path = find_model(text)
    if not path.is_dir():
        return [text]
    if not (path / SPEC).is_file():
        raise DataError(f"{path} is no finished run folder of emo-train: it has no {SPEC}")
    return sorted(path.glob("*.tflite"))


def _scored(text: str) -> list[str]:
    """Return what of this is scored: a run folder's Keras model comes before its exports."""
    exports = [str(path) for path in _exports(text)]
    return [text, *exports] if find_model(text).is_dir() else exports


def _own_data(models: Sequence[str]) -> Path | None:
    evaluation = find_model(models[0]) / EVALUATION
    return evaluation if len(models) == 1 and evaluation.is_file() else None


def _command(words: Sequence[str]) -> int:
    program = shutil.which("emo-bench", path=str(Path(sys.executable).parent)) or "emo-bench"
    with subprocess.Popen([program, *words]) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:  # a terminal's Ctrl-C reaches the child too
            child.wait()
            return INTERRUPTED
