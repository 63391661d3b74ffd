from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emo_bench.statistics import (
    block_medians,
    describe,
    describe_median,
    early_stopping_estimate,
    histogram,
    instability,
)

TIMES = st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=200)


def test_statistics_are_those_worked_out_by_hand() -> None:
    # 1..9 and an outlier: deviations from 5.5 are .5 .5 1.5 1.5 2.5 2.5 3.5 3.5 4.5 94.5
    assert describe(np.array([9.0, 1, 8, 2, 7, 3, 6, 4, 5, 100])) == {
        "runs": 10,
        "min": 1.0,
        "median": 5.5,
        "mad": 2.5,
        "p90": 18.1,  # 9 + 0.1 x (100 - 9)
        "p95": 59.05,
        "p99": 91.81,
        "max": 100.0,
    }


@given(TIMES)
def test_statistics_are_in_order_and_among_the_times(times: list[float]) -> None:
    found = describe(np.array(times))
    assert found["runs"] == len(times)
    assert (found["min"], found["max"]) == (round(min(times), 5), round(max(times), 5))
    order = [found[name] for name in ("min", "median", "p90", "p95", "p99", "max")]
    assert order == sorted(order)
    assert 0 <= found["mad"] <= round(max(times) - min(times), 5) + 1e-5


@given(TIMES)
def test_a_histogram_counts_what_is_not_beyond_p99(times: list[float]) -> None:
    found = histogram(np.array(times))
    assert len(found["edges"]) == len(found["counts"]) + 1
    assert 0.98 * len(times) - 1 <= sum(found["counts"]) <= len(times)


def test_blocks_are_stretches_of_consecutive_times() -> None:
    assert block_medians(np.array([1.0, 1, 1, 2, 2, 2, 3, 3, 3, 9, 4, 4])) == [1, 2, 3, 4]
    assert block_medians(np.array([5.0])) == [5]


@pytest.mark.parametrize(
    ("changed", "medians", "words"),
    [
        ({}, [1.0, 1.05], []),
        ({"p90": 2.0}, [1.0, 1.05], ["2.0 times the median"]),
        ({"mad": 0.2}, [1.0, 1.05], ["MAD is 20% of the median"]),
        ({}, [0.9, 1.0, 1.1], ["3 processes lie 20% apart"]),
    ],
)
def test_unstable_times_are_warned_of(
    changed: dict[str, float], medians: list[float], words: list[str]
) -> None:
    found = instability({"median": 1.0, "p90": 1.4, "mad": 0.05} | changed, medians)
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))


def overlatency_by_definition(n: int) -> int:
    """The largest t with P(Binomial(n, 0.1) <= t) <= 0.01; -1 if there is none."""
    below, t = 0.0, -1
    while True:
        below += math.comb(n, t + 1) * 0.1 ** (t + 1) * 0.9 ** (n - t - 1)
        if below > 0.01:
            return t
        t += 1


@pytest.mark.parametrize("n", [64, 65, 100, 500, 1000])
def test_the_estimate_of_mlperf_is_the_order_statistic_of_its_rule(n: int) -> None:
    times = np.random.default_rng(n).permutation(n) + 1.0
    # the t-th largest of 1..n
    assert early_stopping_estimate(times) == n + 1 - overlatency_by_definition(n)


def test_mlperf_needs_64_queries_for_the_90th_percentile() -> None:
    # LoadGen: "SingleStream ... need to process at least 64 queries for early stopping"
    assert early_stopping_estimate(np.arange(63.0)) is None
    assert early_stopping_estimate(np.arange(64.0)) == 63.0


def test_the_estimate_of_mlperf_nears_the_percentile_with_many_queries() -> None:
    times = np.arange(4_000_000.0)
    estimate = early_stopping_estimate(times)
    assert estimate is not None
    # 2.326 standard deviations of a binomial share above the 90th percentile
    assert estimate / len(times) - 0.9 == pytest.approx(
        2.326 * math.sqrt(0.09 / len(times)), rel=0.01
    )


def test_the_interval_of_a_median_is_that_of_the_binomial() -> None:
    # n = 101: ranks 50.5 -/+ 1.96 x sqrt(101) / 2 = 40.7 and 60.3
    times = np.random.default_rng(0).permutation(np.arange(101.0))
    assert describe_median(times) == {"runs": 101, "median": 50.0, "low": 40.0, "high": 61.0}
    assert describe_median(np.array([2.0])) == {"runs": 1, "median": 2.0, "low": 2.0, "high": 2.0}
