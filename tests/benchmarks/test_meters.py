from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emo_bench.meters import Histogram, StageClock, slope


@given(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=100), st.floats(1, 99))
def test_a_histogram_knows_percentiles_to_a_percent(values: list[float], percent: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    rank = max(1, np.ceil(len(values) * percent / 100 - 1e-9))
    exact = sorted(values)[int(rank) - 1]
    assert histogram.percentile(percent) == pytest.approx(exact, rel=0.011)


def test_an_empty_histogram_knows_nothing() -> None:
    assert Histogram().percentile(50) is None


def test_a_slope_is_that_of_the_line_it_was_drawn_from() -> None:
    x = np.arange(200.0)
    found = slope(x, 3 + 0.5 * x)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_the_interval_of_a_slope_covers_none_in_flat_memory_and_not_in_a_leak() -> None:
    rng = np.random.default_rng(1)
    x = np.arange(400.0)
    steps = np.repeat(rng.normal(0, 1, 20), 20)  # memory changes in steps that last
    flat, leak = slope(x, steps), slope(x, steps + 0.05 * x)
    assert flat.low < 0 < flat.high
    assert leak.low > 0
    assert leak.low < 0.05 < leak.high


def test_a_clock_counts_calls_and_cpu_time_of_what_fails_too() -> None:
    clock = StageClock()

    def work(rounds: int) -> int:
        return sum(range(rounds)) if rounds else 1 // 0

    timed = clock.timed("work", work)
    assert timed(10_000) == 49_995_000
    with pytest.raises(ZeroDivisionError):
        timed(0)
    assert clock.calls == {"work": 2}
    assert clock.seconds["work"] > 0
