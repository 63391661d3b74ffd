"""What a door is: where bytes of a stranger come in."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

Contained = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Door:
    """One way in.

    Attributes:
        name: For people and the command line.
        draw: Gives one input; the same dice give the same.
        open: Is given an empty folder and `contained`, and returns what lets one input in: it
            raises an `EmoError` if that is refused. Within `contained()` it does what the product
            does in a child process only: there, its end is foreseen.
        share: Of all inputs.
    """

    name: str
    draw: Callable[[random.Random], bytes]
    open: Callable[[Path, Contained], Callable[[bytes], None]]
    share: float
