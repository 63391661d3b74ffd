"""`emo-edge` without a subcommand: the loop, with what its options name."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from emo_edge.cli.options import ModelOption
from emo_edge.commands import guarded, refuse_stray, show_version, told
from emo_edge.errors import UsageError
from emo_edge.shipped import DEFAULT, find_model
from emo_edge.smallest import SMALLEST_FACE, SMALLEST_RANGE

T = TypeVar("T")


@guarded
def run(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Option(help="Camera, video, picture, folder, quoted glob, or stream URL."),
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(help="Index, /dev/videoN, rpicam, picamera2 (see emo-edge cameras), or URL."),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Size to ask a camera for, WIDTHxHEIGHT; else 640x480.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.1, max=1000, help="Frame rate to ask a camera for.")
    ] = None,
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
    threads: Annotated[
        int | None, typer.Option(min=1, max=64, help="Threads of the runtime (default: 1).")
    ] = None,
    no_tuned: Annotated[
        bool, typer.Option("--no-tuned", help="Leave aside what emo-edge tune found.")
    ] = False,
    smallest_face: Annotated[
        float,
        typer.Option(
            min=SMALLEST_RANGE[0],
            max=SMALLEST_RANGE[1],
            help="Smallest face to find, as a fraction of the picture; larger is cheaper.",
        ),
    ] = SMALLEST_FACE,
    max_fps: Annotated[
        float | None, typer.Option(min=0.01, help="Analyse at most so many frames a second.")
    ] = None,
    celsius_limit: Annotated[
        float | None,
        typer.Option(
            min=30.0, help="Slow down before the CPU gets this hot (default: where it throttles)."
        ),
    ] = None,
    jsonl: Annotated[
        str | None, typer.Option(help='Append readings as JSON lines; "-" is stdout.')
    ] = None,
    csv: Annotated[str | None, typer.Option(help='Append readings as CSV; "-" is stdout.')] = None,
    log_size: Annotated[
        float,
        typer.Option(min=0, help="MB at which a log is renamed to FILE.1; 0 lets it grow."),
    ] = 0.0,
    record: Annotated[
        Path | None, typer.Option(help="Write an annotated video (.mp4) of a camera or video.")
    ] = None,
    snapshot: Annotated[
        Path | None, typer.Option(help="Keep the newest annotated face as a picture.")
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT",
            help="Serve a page: 8080 to this machine, 0.0.0.0:8080 to its networks.",
        ),
    ] = None,
    serve_token: Annotated[
        str | None,
        typer.Option(help="Token of the page, instead of a generated one; or set EMO_TOKEN."),
    ] = None,
    serve_without_token: Annotated[
        bool, typer.Option("--serve-without-token", help="Let the whole network see the page.")
    ] = False,
    mqtt: Annotated[
        str | None,
        typer.Option(help="Publish to a broker: mqtt[s]://[user@]host[:port][/topic]."),
    ] = None,
    mqtt_password_file: Annotated[
        Path | None, typer.Option(help="Its password (or set EMO_MQTT_PASSWORD).")
    ] = None,
    mqtt_ca: Annotated[
        Path | None, typer.Option(help="Its certificate authority (PEM), for mqtts://.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Configuration file (see emo-edge init) [default: ~/.config/emo-toolkit/edge.toml "
            "or /etc/emo-toolkit/edge.toml, if there]."
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Run the loop until the source ends or Ctrl-C; no picture is stored unless asked for."""
    if context.invoked_subcommand is not None:
        refuse_stray(context, but=("config",))
        return
    from emo_edge.cli.assembly import run_loop
    from emo_edge.sinks.mqtt.address import parse_address
    from emo_edge.sinks.opening import Outputs
    from emo_edge.sinks.page.serving import serving
    from emo_edge.sources import is_camera

    _require_finite(
        smallest_face=smallest_face,
        log_size=log_size,
        fps=fps,
        max_fps=max_fps,
        celsius_limit=celsius_limit,
    )
    text = _one_source(context, source, camera)
    # What the file says beside an option that the command line gave another value was not meant
    # for it; what the command line says was.
    own = partial(_own, context)
    if (told(context, "source") or told(context, "camera")) and not is_camera(text):
        size, fps = own(size=size), own(fps=fps)
    if told(context, "model"):
        labels, input_range = own(labels=labels), own(input_range=input_range)
    if told(context, "mqtt"):
        mqtt_password_file = own(mqtt_password_file=mqtt_password_file)
        mqtt_ca = own(mqtt_ca=mqtt_ca)
    if serve is None or told(context, "serve_without_token"):
        serve_token = own(serve_token=serve_token)
    if serve is None or told(context, "serve_token"):
        serve_without_token = bool(own(serve_without_token=serve_without_token))
    if mqtt is None and (told(context, "mqtt_password_file") or told(context, "mqtt_ca")):
        raise UsageError("--mqtt-password-file and --mqtt-ca go with --mqtt")
    broker = parse_address(mqtt, mqtt_password_file, mqtt_ca) if mqtt is not None else None
    file = find_model(model)
    page = serving(serve, serve_token, serve_without_token, file.stem)
    run_loop(
        text,
        size=size,
        fps=fps,
        model=file,
        labels=labels,
        input_range=input_range,
        detector=detector,
        backend=backend,
        threads=threads,
        tuned=not no_tuned,
        smallest_face=smallest_face,
        max_fps=max_fps,
        celsius_limit=celsius_limit,
        outputs=Outputs(jsonl, csv, record, snapshot, log_size, page, broker),
    )


def _require_finite(**options: float | None) -> None:
    for name, value in options.items():
        if value is not None and not math.isfinite(value):
            raise UsageError(f"--{name.replace('_', '-')} must be a finite number, not {value}")


def _own(context: typer.Context, **option: T) -> T | None:
    """Return the value of one option if the command line gave it, else None."""
    ((name, value),) = option.items()
    return value if told(context, name) else None


def _one_source(context: typer.Context, source: str | None, camera: str | None) -> str:
    if source is not None and camera is not None:  # the command line comes before the file
        source, camera = (
            value if told(context, name) else None
            for name, value in (("source", source), ("camera", camera))
        )
    if (source is None) == (camera is None):
        raise UsageError("give one of --camera X and --source X (see emo-edge --help)")
    return source if source is not None else camera or ""
