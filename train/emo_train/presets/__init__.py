"""Whole recipes by name (the TOML files here), and recipes in files of the user's own."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from emo_edge.commands import require_extra
from emo_edge.errors import DataError, UsageError
from emo_train.recipe import Recipe
from emo_train.settings import from_mapping, leaves

FOLDER = Path(__file__).parent
DEFAULT = "default"


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def describe_preset(name: str) -> str:
    """Return what a preset is for."""
    return str(_preset(name)["description"])


def resolve(
    preset: str | None, file: Path | None, chosen: Mapping[str, Any]
) -> tuple[Recipe, Mapping[str, Any]]:
    """Return the recipe of a preset, changed by a file, changed by options.

    Args:
        preset: A name of `preset_names`; None is "default".
        file: TOML, YAML or JSON with settings of a `Recipe`, or the config.json of a run.
        chosen: Settings given one by one.

    Returns:
        The recipe, and the whole configuration if the file is that of a run, else nothing.

    Raises `UsageError` for what does not exist or is not allowed, `DataError` for a file that
    cannot be read.
    """
    values = {k: v for k, v in _preset(preset or DEFAULT).items() if k != "description"}
    recipe, run = from_mapping(Recipe, values), {}
    if file is not None:
        values = dict(_read(file))
        if "recipe" in values and "data" in values:  # the config.json of a run
            _refuse_part(file, values)
            run, values = values, values["recipe"]
        try:
            recipe = _changed(recipe, values)
        except UsageError as error:
            raise UsageError(f"{file}: {error}") from error
    return _changed(recipe, chosen), run


def _changed(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return `recipe` with `values`; a learning rate was meant for the optimizer beside it."""
    if values.get("optimizer", recipe.optimizer) != recipe.optimizer:
        recipe = dataclasses.replace(recipe, learning_rate=0.0)
    return from_mapping(Recipe, values, recipe)


def _refuse_part(file: Path, run: Mapping[str, Any]) -> None:
    if run.get("fold"):
        raise UsageError(f"{file} is of one fold: repeat the cross-validation that it is part of")
    if "averaged" in run:
        raise UsageError(f"{file} is of an average: repeat it with emo-train average")


def _preset(name: str) -> Mapping[str, Any]:
    if name not in preset_names():
        raise UsageError(f"unknown preset {name!r}; choose from {', '.join(preset_names())}")
    return _read(FOLDER / f"{name}.toml")


def _read(path: Path) -> Mapping[str, Any]:
    readers: dict[str, Callable[[str], Any]] = {
        ".toml": _toml,
        ".json": json.loads,
        ".yaml": _yaml,
        ".yml": _yaml,
    }
    if path.suffix.lower() not in readers:
        raise UsageError(f"{path} is none of {', '.join(readers)}")
    try:
        content = readers[path.suffix.lower()](path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not isinstance(content, Mapping):
        raise DataError(f"{path} holds no settings (name and value)")
    return content


def _toml(text: str) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        require_extra("workstation", "tomli")
        import tomli as tomllib
    return tomllib.loads(text)


def _yaml(text: str) -> Any:
    require_extra("workstation", "yaml")
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads 5e-4 as the number it is; YAML 1.1 wants 5.0e-4."""

    number = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def to_toml(recipe: Recipe) -> str:
    """Return a recipe as TOML, every setting with its documentation as a comment."""
    lines, table = [], ""
    for path, field, _ in leaves(Recipe):
        if path[0] != path[-1] and path[0] != table:
            table = path[0]
            lines += [f"[{table}]", ""]
        value: Any = recipe
        for name in path:
            value = getattr(value, name)
        choices = field.metadata["choices"]
        listed = f" One of {', '.join(choices)}." if choices else ""
        # A JSON text, number or truth value is a TOML one.
        lines += [f"# {field.metadata['text']}{listed}", f"{field.name} = {json.dumps(value)}", ""]
    return "\n".join(lines)
