"""What the four commands share: version, help, errors as one line, missing extras."""

from __future__ import annotations

import errno
import functools
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from emo_edge.errors import EmoError, OutputError, UsageError
from emo_edge.messages import say
from emo_edge.version import __version__

P = ParamSpec("P")
R = TypeVar("R")

EXIT_CODES = (
    "Exit codes: 0 done, 2 usage, 3 data, 4 model, 5 source, 6 parity gate, 7 no face, "
    "8 output, 9 health, 10 regression, 130 interrupted."
)


# A write to stdout or to a log that has no room left.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Commands(TyperGroup):
    """A command line with several commands, `_written`."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; exit with `OutputError`'s code where the output has no room."""
        return _written(functools.partial(super().main, *args, **kwargs))


class Command(TyperCommand):
    """The same with one, of which Typer makes no group: `@app.command(cls=Command)`."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; exit with `OutputError`'s code where the output has no room."""
        return _written(functools.partial(super().main, *args, **kwargs))


def _written(main: Callable[[], Any]) -> Any:
    """Run a command line; all its output, --help and the last buffered line too, is written.

    Or it fails: Python itself would end with a traceback, or with a remark and exit code 120.
    """
    _fill_standard_streams()
    try:
        try:
            return main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        sys.exit(_abandon_stdout())
    except OSError as error:
        if error.errno not in FULL:
            raise
        say(f"error: cannot write {error.filename or 'the output'}: {error.strerror}")
        sys.exit(_abandon_stdout())


def _fill_standard_streams() -> None:
    """Put /dev/null where a stream was closed (`>&-`): a file would get its number, and noise."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue
    os.close(number)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")


def _abandon_stdout() -> int:
    """Let what is left in the buffer vanish: it would fail once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OutputError.exit_code


def new_app(help_text: str, commands: type[Commands] = Commands) -> typer.Typer:
    """Return a Typer app in the house style: plain help, no shell-completion options."""
    return typer.Typer(
        cls=commands,
        help=f"{inspect.cleandoc(help_text)}\n\n{EXIT_CODES}",
        add_completion=False,
        rich_markup_mode=None,  # Rich would triple the time of --help on a Pi
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def show_version(wanted: bool) -> None:
    """Typer callback of every --version."""
    if wanted:
        print(f"emo-toolkit {__version__}")
        raise typer.Exit


@contextmanager
def errors_as_lines() -> Iterator[None]:
    """Turn an `EmoError` into one line on stderr and its exit code; bugs keep their traceback."""
    try:
        yield
    except EmoError as error:
        say(f"error: {error}")
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        say("interrupted")
        raise typer.Exit(130) from None
    except BrokenPipeError:  # `| head`: nobody reads on
        raise typer.Exit(_abandon_stdout()) from None


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Return `command` with `errors_as_lines`."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with errors_as_lines():
            return command(*args, **kwargs)

    return run


def told(context: typer.Context, name: str) -> bool:
    """Whether the command line says this option, rather than a default or a configuration."""
    origin = context.get_parameter_source(name)
    return origin is not None and origin.name == "COMMANDLINE"


def refuse_stray(context: typer.Context, *, but: tuple[str, ...] = ()) -> None:
    """Raise `UsageError` for an option before the subcommand, which would not see it.

    Args:
        context: Of the command that has subcommands, one of which is invoked.
        but: Parameters that mean the same before every subcommand.
    """
    for parameter in context.command.params:
        if parameter.name and parameter.name not in but and told(context, parameter.name):
            option, behind = max(parameter.opts, key=len), context.invoked_subcommand
            raise UsageError(
                f"{option} stands before {behind}, which would not see it: put it behind "
                f"{behind}, if that takes it"
            )


def require_extra(extra: str, *modules: str) -> None:
    """Raise `UsageError` naming the pip line when a module of an optional extra is missing."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"this needs {', '.join(missing)}, which the device install leaves out; "
            f'run: pip install "emo-toolkit[{extra}]"'
        )
