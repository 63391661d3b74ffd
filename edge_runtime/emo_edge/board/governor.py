"""How much slower the loop works on a hot board: a pure step, so that it can be proved.

The firmware of a Raspberry Pi throttles at 80 C, other kernels at their passive trip point, and
what they take away they take from everything. Analysing fewer frames in time keeps the clock up.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """What the loop may do at one level of restraint.

    Attributes:
        below_limit: The level begins this many degrees below the limit.
        max_fps: Frames analysed a second, at most.
        search_stretch: How many times longer the search for new faces waits.
    """

    below_limit: float
    max_fps: float
    search_stretch: float


# Each level halves the work; all three begin before the board throttles.
LEVELS = (Level(5.0, 12.0, 2.0), Level(3.0, 6.0, 4.0), Level(1.0, 3.0, 8.0))
# A level ends only this far below where it begins: it must not come and go with each reading.
RELIEF = 4.0


def step(level: int, celsius: float | None, *, throttled: bool, limit: float) -> int:
    """Return the next level: 0 is full speed, n is `LEVELS[n - 1]`.

    Args:
        level: The level now.
        celsius: Temperature of the CPU; None if the board does not tell.
        throttled: The firmware is slowing the CPU down now, for heat or lack of power.
        limit: Temperature at which the board throttles.
    """
    least = 1 if throttled else 0
    if celsius is None:
        return least
    begun = sum(celsius >= limit - each.below_limit for each in LEVELS)
    held = sum(celsius >= limit - each.below_limit - RELIEF for each in LEVELS)
    return max(least, begun, min(level, held))
