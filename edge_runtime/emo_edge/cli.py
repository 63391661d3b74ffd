"""`emo-edge`: live facial expressions from a camera, a video or pictures."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emo_edge.commands import guarded, new_app, show_version
from emo_edge.errors import HealthError, NoFaceError, UsageError
from emo_edge.messages import say
from emo_edge.shipped import DEFAULT, find_model, shipped_models

if TYPE_CHECKING:
    from emo_edge.sinks import Sink
    from emo_edge.sources import Source

app = new_app(
    """Read facial expressions from a camera, a video or pictures.

    \b
    Examples:
      emo-edge --camera 0
      emo-edge --model face.tflite --source talk.mp4 --jsonl readings.jsonl --record out.mp4
      emo-edge --model face.tflite --source holiday-pictures/
      emo-edge doctor --model face.tflite

    An expression is what a face shows, not what a person feels."""
)

ModelOption = Annotated[
    str,
    typer.Option("--model", "-m", help="Model file, or a shipped one (see emo-edge models)."),
]


@app.callback(invoke_without_command=True)
@guarded
def run(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Option(help="Camera index, /dev/videoN, video, picture, folder, or stream URL."),
    ] = None,
    camera: Annotated[int | None, typer.Option(help="Camera index: same as --source N.")] = None,
    model: ModelOption = DEFAULT,
    labels: Annotated[
        Path | None, typer.Option(help="Labels, one a line, for a plain .tflite.")
    ] = None,
    input_range: Annotated[
        tuple[float, float] | None,
        typer.Option(help="What pixels 0 and 255 become for a plain .tflite, e.g. -1 1."),
    ] = None,
    detector: Annotated[
        str,
        typer.Option(
            help="Face detector: yunet (run fetch-detector once), haar, auto (yunet if it was "
            "fetched, else haar), or none if the pictures are face crops."
        ),
    ] = "auto",
    backend: Annotated[
        str, typer.Option(help="Runtime: auto, tflite_runtime, ai_edge_litert, tensorflow.")
    ] = "auto",
    threads: Annotated[int, typer.Option(min=1, max=64, help="Threads of the runtime.")] = 1,
    jsonl: Annotated[
        str | None, typer.Option(help='Append readings as JSON lines; "-" is stdout.')
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Write an annotated video (.mp4) of a camera or video.")
    ] = None,
    snapshot: Annotated[
        Path | None, typer.Option(help="Keep the newest annotated face as a picture.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Run the loop until the source ends or Ctrl-C; no picture is stored unless asked for."""
    if context.invoked_subcommand is not None:
        return
    text = _one_source(source, camera)
    _run_loop(
        text,
        model=find_model(model),
        labels=labels,
        input_range=input_range,
        detector=detector,
        backend=backend,
        threads=threads,
        outputs=(jsonl, record, snapshot),
    )


def _one_source(source: str | None, camera: int | None) -> str:
    if (source is None) == (camera is None):
        raise UsageError("give one of --camera N and --source X (see emo-edge --help)")
    return source if source is not None else str(camera)


def _run_loop(
    text: str,
    *,
    model: Path,
    labels: Path | None,
    input_range: tuple[float, float] | None,
    detector: str,
    backend: str,
    threads: int,
    outputs: tuple[str | None, Path | None, Path | None],
) -> None:
    from emo_edge.classifier import Classifier
    from emo_edge.detectors import make_detector
    from emo_edge.pipeline import readings
    from emo_edge.sources import open_source

    find = make_detector(detector)
    classifier = Classifier(
        model, labels=labels, input_range=input_range, backend=backend, threads=threads
    )
    frames = faces = 0
    with open_source(text) as source, ExitStack() as open_sinks:
        sinks = [open_sinks.enter_context(closing(sink)) for sink in _make_sinks(source, *outputs)]
        for frame, found in readings(source, find, classifier, classifier.spec):
            frames += 1
            faces += len(found)
            for sink in sinks:
                sink(frame, found)
    say(f"{text}: {frames} frame(s), {faces} reading(s)")
    if not faces:
        raise NoFaceError(
            f"no face found in {text}: faces must be frontal and larger than 1/16 of the picture; "
            "for pictures that are face crops add --detector none"
        )


def _make_sinks(
    source: Source, jsonl: str | None, record: Path | None, snapshot: Path | None
) -> list[Sink]:
    from emo_edge.sinks import Console, JsonLines, Recording, Snapshot

    # With JSON on stdout the timeline would spoil it.
    sinks: list[Sink] = [] if jsonl == "-" else [Console(source)]
    if jsonl is not None:
        sinks.append(JsonLines(jsonl, source))
    if record is not None:
        if source.kind == "stills":
            raise UsageError("--record makes a video of a camera or video; use --snapshot here")
        sinks.append(Recording(record, source.fps))
    if snapshot is not None:
        sinks.append(Snapshot(snapshot))
    return sinks


@app.command()
@guarded
def fetch_detector(
    origin: Annotated[
        str | None,
        typer.Option("--from", help="File or URL, for a board without internet."),
    ] = None,
) -> None:
    """Fetch the YuNet face detector (233 kB, MIT licence, OpenCV model zoo), once."""
    from emo_edge.fetch import YUNET_URL, fetch_yunet

    path, fetched = fetch_yunet(YUNET_URL if origin is None else origin)
    say(f"{path}: {'fetched' if fetched else 'there already'}, checksum right")


@app.command()
@guarded
def doctor(model: ModelOption = DEFAULT) -> None:
    """Check this machine and a model: what works, what does not, and what fixes it."""
    from emo_edge.doctor import examine

    problems = 0
    for finding in examine(find_model(model)):
        print(f"{finding.verdict:<8} {finding.subject:<24} {finding.detail}")
        problems += finding.verdict == "problem"
    if problems:
        raise HealthError(f"{problems} problem(s) found, see above")


@app.command()
@guarded
def models() -> None:
    """List the models that come with the package."""
    from emo_edge.modelfile import read_model

    for name, path in shipped_models().items():
        spec = read_model(path).spec
        assert spec is not None  # a shipped model was made by emo-convert
        print(f"{name}  {path.stat().st_size / 1000:.0f} kB  {', '.join(spec.labels)}")
        for parity in spec.conversion["parity"]:
            top1 = f"top-1 {parity['accuracy']['export_top1']:.1%}"
            print(f"  {top1} of {parity['images']} {parity['origin']} faces, {parity['runtime']}")
        print(f"  card: {path.with_suffix('.md')}")


def main() -> None:
    """Entry point of `emo-edge`."""
    app()
