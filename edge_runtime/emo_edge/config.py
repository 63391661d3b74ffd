"""The configuration file: the options of a run, written down (TOML); generated from them too."""

from __future__ import annotations

import os
import stat
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from emo_edge.artifacts import read_at_most
from emo_edge.errors import UsageError
from emo_edge.messages import say

MAX_BYTES = 1 << 20
NAME = Path("emo-toolkit") / "edge.toml"
OF_THE_MACHINE = Path("/etc") / NAME

HEAD = """\
# Configuration of emo-edge {version}. Every option is here with its default: take the "#" away from
# a line to change it. "" means: not set. An option of the command line comes before this file.
# emo-edge reads one file, the first of: --config FILE, {user},
# {machine} (that of a service).
"""


def of_the_user() -> Path:
    """Return where this user's configuration is looked for; the machine's for one without home."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    try:
        return Path(home).expanduser() / NAME
    except RuntimeError:  # a service's user
        return OF_THE_MACHINE


def find_config() -> Path | None:
    """Return the configuration that a run without --config reads, None if there is none."""
    return next((path for path in (of_the_user(), OF_THE_MACHINE) if _is_file(path)), None)


def shows_secrets(path: Path, values: Mapping[str, Any]) -> bool:
    """Return whether others than its owner can read a configuration with a token or a password."""
    if not path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return False
    return "serve_token" in values or _has_password(values.get("mqtt", ""))


def _has_password(url: str) -> bool:
    try:
        return urlsplit(url).password is not None
    except ValueError:  # no address: the run will say so; what it holds may be a password
        return "@" in url


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:  # a service may be kept out of every home
        return False


def options_of(command: TyperCommand | TyperGroup) -> list[TyperOption]:
    """Return the options that a configuration may set: those that change a run."""
    options = [parameter for parameter in command.params if isinstance(parameter, TyperOption)]
    return [option for option in options if not option.is_eager and _key(option) != "config"]


def configuration(named: str | None, context: typer.Context) -> dict[str, Any]:
    """Return {parameter name: value} of the named file, or of the one in its place, saying which.

    Raises `UsageError` if it cannot be used.
    """
    path = find_config() if named is None else Path(named)
    if path is None:
        return {}
    say(f"configuration: {path}")
    return read_config(path, options_of(cast(TyperGroup, context.command)), context)


def read_config(
    path: Path, options: Sequence[TyperOption], context: typer.Context
) -> dict[str, Any]:
    """Return {parameter name: value} for what `path` sets.

    Raises `UsageError` naming the file and the key: not TOML, an unknown key (with the nearest
    valid one), or a value that the option refuses.
    """
    known = {_key(option): option for option in options}
    values: dict[str, Any] = {}
    for key, value in _parsed(path).items():
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "see: emo-edge --help"
            raise UsageError(f"{path}: there is no option {key!r}; {hint}")
        if value == "":
            continue
        values[str(known[key].name)] = _checked(path, known[key], value, context)
    return values


def _parsed(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(read_at_most(path, MAX_BYTES).decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error


def _checked(path: Path, option: TyperOption, value: object, context: typer.Context) -> object:
    """Return a value as the command line would give it: text, that the option then converts."""
    key = _key(option)
    several = option.nargs != 1 or option.multiple
    if isinstance(value, dict) or isinstance(value, list) != several:
        wanted = "a list in brackets" if several else "a single value"
        raise UsageError(f"{path}: {key} takes {wanted}")
    if isinstance(value, bool) != bool(option.is_flag):
        raise UsageError(f"{path}: {key} takes {'true or false' if option.is_flag else 'a value'}")
    given = [str(part) for part in value] if isinstance(value, list) else value
    if not isinstance(given, (list, bool)):
        given = str(given)
    try:
        option.type_cast_value(context, given)
    except typer.BadParameter as error:
        raise UsageError(f"{path}: {key}: {error.message}") from error
    except (ValueError, OverflowError) as error:  # a NUL, which no command line can hold
        raise UsageError(f"{path}: {key}: {error}") from error
    return given


def template(options: Sequence[TyperOption], version: str) -> str:
    """Return a configuration that says every option, its help and its default, commented out."""
    parts = [HEAD.format(version=version, user=f"~/.config/{NAME}", machine=OF_THE_MACHINE)]
    for option in options:
        help_lines = textwrap.wrap(option.help or "", 96)
        lines = [f"# {line}" for line in help_lines]
        parts.append("\n".join([*lines, f"#{_key(option)} = {_toml(option.default)}"]) + "\n")
    return "\n".join(parts)


def _key(option: TyperOption) -> str:
    """Return the option's name in the file: its long flag without the dashes."""
    return max(option.opts, key=len).lstrip("-")


def _toml(value: object) -> str:
    """Return a default as TOML; None is the empty text."""
    if value is None:
        return '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
