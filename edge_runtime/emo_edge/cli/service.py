"""`emo-edge service`: the loop as a service that starts with the board and stays alive."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand

from emo_edge.commands import guarded
from emo_edge.config import OF_THE_MACHINE, options_of, read_config
from emo_edge.errors import UsageError
from emo_edge.messages import say
from emo_edge.shipped import find_model, is_shipped

app = typer.Typer(
    help="Run emo-edge as a systemd service: at boot, watched, restarted, sandboxed.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

INPUTS = ("source", "camera", "model", "labels", "mqtt_password_file", "mqtt_ca", "config")


@app.command()
@guarded
def install(
    context: typer.Context,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- RUN-OPTIONS",
            help=f"Options of the run, e.g. -- --camera 0; they come before {OF_THE_MACHINE}.",
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="User to run as (default: one made for the service).")
    ] = None,
    writable: Annotated[
        list[Path] | None,
        typer.Option(help="Folder it may write to besides /var/lib/emo-edge; repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the unit, do nothing.")] = False,
) -> None:
    """Install and start the service: emo-edge service install -- --camera 0 --serve 8080."""
    from emo_edge.board import service

    arguments, needed = _checked(context, arguments or [])
    text = service.plan(arguments, needed=needed, user=user, writable=writable or [])
    if dry_run:
        print(text, end="")
        say(f"dry run: this would be {service.UNIT_FILE}")
        return
    service.install(text)
    say(f"{service.UNIT_FILE} written, enabled and started; look with: emo-edge service status")
    if "\nDynamicUser=yes\n" in text:
        say(
            "its user has a cache of its own; for the better detector, and for tuning, run: "
            "sudo env XDG_CACHE_HOME=/var/cache/emo-edge emo-edge fetch-detector (and: tune)"
        )


@app.command()
@guarded
def status() -> None:
    """Show whether the service runs and how it fares; exit code 9 if it does not run."""
    from emo_edge.board import service

    state = service.status()
    for name, value in state.items():
        if value:
            print(f"{name:<12} {value}")
    service.require_active(state)


@app.command()
@guarded
def remove() -> None:
    """Stop the service and remove it; what it wrote stays."""
    from emo_edge.board import service

    if service.remove():
        say("removed; /var/lib/emo-edge and /var/cache/emo-edge stay: delete them if you like")
    else:
        say("no service was installed")


def _checked(context: typer.Context, arguments: list[str]) -> tuple[list[str], list[Path]]:
    """Return the options of the run with whole paths, and the files that it will read.

    A service starts in another folder, with the machine's configuration. What the run would refuse
    is refused now.
    """
    # Without the subcommands: a service runs the loop.
    loop = TyperCommand("emo-edge", params=context.find_root().command.params)
    with loop.make_context("emo-edge", list(arguments), resilient_parsing=True) as first:
        named = first.params.get("config")
    file = Path(named) if named else OF_THE_MACHINE if OF_THE_MACHINE.is_file() else None
    configured = {} if file is None else read_config(file, options_of(loop), context)
    with loop.make_context("emo-edge", list(arguments), default_map=configured) as run:
        given = {name: run.params[name] for name in INPUTS if run.params.get(name) is not None}
    if not given.keys() & {"source", "camera"}:
        raise UsageError(
            "give the run a source: emo-edge service install -- --camera 0, or write it into "
            f"{OF_THE_MACHINE} (see emo-edge init --help)"
        )
    whole = {
        str(value): str(Path(value).absolute())
        for value in given.values()
        if not str(value).isdigit() and _is_path(str(value)) and not is_shipped(str(value))
    }
    words = [_located(word, whole) for word in arguments]
    with loop.make_context("emo-edge", list(words), default_map=configured) as run:
        _require_whole({name: str(run.params[name]) for name in given}, whole)
    return words, [find_model(given["model"]).absolute(), *map(Path, whole.values())]


def _is_path(text: str) -> bool:
    """Whether this is a path that is there, seen from this folder, or a glob: it may find later."""
    return Path(text).exists() or (glob.has_magic(text) and "://" not in text)


def _require_whole(given: dict[str, str], whole: dict[str, str]) -> None:
    """Refuse a path that `_located` did not reach: of the configuration, or glued (`-mFILE`)."""
    for name, value in given.items():
        if value in whole and not Path(value).is_absolute():
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} {value}: give the whole path: a service runs in another folder"
            )


def _located(word: str, whole: dict[str, str]) -> str:
    option, equals, value = word.partition("=")
    if word.startswith("--") and equals:
        return f"{option}={whole.get(value, value)}"
    return whole.get(word, word)
