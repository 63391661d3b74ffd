"""Whether JSON of others is what a reader relies on: files are damaged, or written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeAlias

# A type; {name: shape}, where others may stand too, "name?" may be missing and "*" is each;
# [shape of each].
Shape: TypeAlias = "type | UnionType | dict[str, Any] | list[Any]"

NUMBER = int | float


def require_shape(value: object, shape: Shape, where: str) -> None:
    """Raise `ValueError`, which says where, unless `value` has the shape."""
    if isinstance(shape, dict):
        _require(isinstance(value, Mapping), where)
        assert isinstance(value, Mapping)
        for name, inner in shape.items():
            for plain in value if name == "*" else [name.removesuffix("?")]:
                if plain in value or plain == name:
                    require_shape(value.get(plain), inner, f"{plain} of {where}")
    elif isinstance(shape, list):
        _require(isinstance(value, list), where)
        assert isinstance(value, list)
        for number, item in enumerate(value, start=1):
            require_shape(item, shape[0], f"number {number} in {where}")
    else:
        # True is an int, and no count.
        _require(isinstance(value, shape) and not isinstance(value, bool), where)


def _require(fits: bool, where: str) -> None:
    if not fits:
        raise ValueError(f"{where} is missing, or not as emo-bench writes it")
