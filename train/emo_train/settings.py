"""Settings: dataclass fields that carry their own documentation, limits and choices.

Written once, in the dataclass, they are command-line options, keys of a configuration file and
the checks of both.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from emo_edge.errors import UsageError

T = TypeVar("T")
R = TypeVar("R")


def setting(
    default: Any,
    text: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Return a dataclass field with its help text; `least` and `most` are allowed values."""
    limits = {"least": least, "above": above, "most": most}
    return dataclasses.field(default=default, metadata={"text": text, "choices": choices, **limits})


def check(settings: Any) -> None:
    """Raise `UsageError` for the first value of a settings dataclass that is not allowed."""
    kinds = get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if "text" in field.metadata:
            _check_kind(field.name, value, kinds[field.name])
            _check_value(field.name, value, field.metadata)


def _check_kind(name: str, value: Any, kind: type) -> None:
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
        raise UsageError(f"{name} must be {words[kind]}, not {value!r}")


def _check_value(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    if limits["choices"] and value not in limits["choices"]:
        raise UsageError(f"unknown {name} {value!r}; choose from {', '.join(limits['choices'])}")
    for wrong, words in (
        (isinstance(value, float) and not math.isfinite(value), "a finite number"),
        (limits["least"] is not None and value < limits["least"], f"at least {limits['least']}"),
        (limits["above"] is not None and value <= limits["above"], f"above {limits['above']}"),
        (limits["most"] is not None and value > limits["most"], f"at most {limits['most']}"),
    ):
        if wrong:
            raise UsageError(f"{name} must be {words}, not {value}")


def from_mapping(settings: type[T], values: Mapping[str, Any], base: T | None = None) -> T:
    """Return `base` (the defaults if None) with `values` in place; tables are nested settings.

    Raises `UsageError` for a key that does not exist, with the nearest that does, and for a value
    that is not allowed.
    """
    base = settings() if base is None else base
    kinds = get_type_hints(settings)
    known = [field.name for field in dataclasses.fields(settings)]  # type: ignore[arg-type]
    changes = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            raise UsageError(f"unknown setting {key!r}; {hint}")
        if not dataclasses.is_dataclass(kinds[key]):
            exact = kinds[key] is float and type(value) is int
            changes[key] = float(value) if exact else value
        elif isinstance(value, Mapping):
            changes[key] = from_mapping(kinds[key], value, getattr(base, key))
        else:
            raise UsageError(f"{key} must be a table of settings, not {value!r}")
    return dataclasses.replace(base, **changes)  # type: ignore[type-var]


def leaves(settings: type) -> Iterator[tuple[tuple[str, ...], dataclasses.Field[Any], type]]:
    """Yield (path, field, type) of every setting, those of nested tables after their own."""
    kinds = get_type_hints(settings)
    for field in dataclasses.fields(settings):
        if dataclasses.is_dataclass(kinds[field.name]):
            for path, leaf, kind in leaves(kinds[field.name]):
                yield (field.name, *path), leaf, kind
        else:
            yield (field.name,), field, kinds[field.name]


def takes_settings(settings: type) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a Typer command an option for every setting.

    The command receives the given ones as `chosen`, a mapping as `from_mapping` takes it.
    """
    paths = {path[-1]: path for path, _, _ in leaves(settings)}
    options = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[kind | None, typer.Option(help=_help(field), show_default=False)],
        )
        for _, field, kind in leaves(settings)
    ]

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(command)
        def call(**given: Any) -> R:
            chosen: dict[str, Any] = {}
            for name, path in paths.items():
                value = given.pop(name)
                if value is not None:
                    table = chosen
                    for key in path[:-1]:
                        table = table.setdefault(key, {})
                    table[name] = value
            return command(**given, chosen=chosen)

        own = inspect.signature(command, eval_str=True).parameters
        kept = [parameter for name, parameter in own.items() if name != "chosen"]
        call.__signature__ = inspect.Signature([*kept, *options])  # type: ignore[attr-defined]
        return call

    return decorate


def _help(field: dataclasses.Field[Any]) -> str:
    choices = field.metadata["choices"]
    listed = f" One of {', '.join(choices)}." if choices else ""
    default = ("no", "yes")[field.default] if isinstance(field.default, bool) else field.default
    return f"{field.metadata['text']}{listed} [{default}]"
