"""The governor's step: before the board throttles, without flicker, and back again."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from emo_edge.board.governor import LEVELS, step

TEMPERATURES = st.floats(-20, 125)
LEVEL = st.integers(0, len(LEVELS))


def course(temperatures: list[float], *, throttled: bool = False) -> list[int]:
    levels, level = [], 0
    for celsius in temperatures:
        level = step(level, celsius, throttled=throttled, limit=80.0)
        levels.append(level)
    return levels


def test_it_slows_down_in_steps_before_the_limit_and_comes_back_with_relief() -> None:
    rising = [60.0, 74.9, 75.0, 76.9, 77.0, 79.0, 82.0]
    assert course(rising) == [0, 0, 1, 1, 2, 3, 3]
    falling = [79.0, 75.1, 74.9, 73.1, 72.9, 71.0, 70.9]
    assert course([79.0, *falling])[1:] == [3, 3, 2, 2, 1, 1, 0]


def test_every_level_does_less_than_the_one_before() -> None:
    for lower, higher in itertools.pairwise(LEVELS):
        assert higher.below_limit < lower.below_limit
        assert higher.max_fps < lower.max_fps
        assert higher.search_stretch > lower.search_stretch
    assert LEVELS[-1].below_limit > 0  # all of it before the kernel acts


@given(LEVEL, TEMPERATURES, st.booleans(), st.floats(60, 115))
def test_a_steady_board_has_a_steady_level(
    level: int, celsius: float, throttled: bool, limit: float
) -> None:
    once = step(level, celsius, throttled=throttled, limit=limit)
    assert 0 <= once <= len(LEVELS)
    assert step(once, celsius, throttled=throttled, limit=limit) == once


@given(LEVEL, LEVEL, TEMPERATURES, TEMPERATURES)
def test_hotter_is_never_faster(level: int, other: int, celsius: float, more: float) -> None:
    low, high = sorted((celsius, more))
    less, greater = sorted((level, other))
    assert step(less, low, throttled=False, limit=80.0) <= step(
        greater, high, throttled=False, limit=80.0
    )


@given(st.lists(st.floats(74.0, 76.0), max_size=50))
def test_readings_that_tremble_around_a_threshold_change_the_level_once(
    temperatures: list[float],
) -> None:
    levels = [0, *course(temperatures)]
    assert sum(a != b for a, b in itertools.pairwise(levels)) <= 1


def test_a_board_that_throttles_is_slowed_down_whatever_its_temperature() -> None:
    assert course([45.0, 45.0], throttled=True) == [1, 1]
    assert step(0, None, throttled=True, limit=80.0) == 1


def test_without_a_temperature_there_is_nothing_to_govern() -> None:
    assert step(0, None, throttled=False, limit=80.0) == 0
    assert step(3, None, throttled=False, limit=80.0) == 0
