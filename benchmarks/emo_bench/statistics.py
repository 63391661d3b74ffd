"""What is said of many times: never a bare average."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

WIDE_P90 = 1.5  # times the median
WIDE_MAD = 0.1  # of the median; pyperf objects to a standard deviation of 10 % of the mean
SHIFTED_PROCESS = 0.1  # of the median
BLOCKS = 4
HISTOGRAM_BINS = 60

# MLPerf Inference, loadgen/early_stopping.cc and results.cc: confidence 0.99, tolerance 0.
MLPERF_PERCENTILE = 0.90
MLPERF_CONFIDENCE = 0.99


def describe(times: Times) -> dict[str, float]:
    """Return runs, min, median, MAD, percentiles and max of times, in their unit.

    MAD is the median absolute deviation from the median, unscaled.
    """
    median = float(np.median(times))
    p90, p95, p99 = np.percentile(times, [90, 95, 99])
    values = {
        "min": times.min(),
        "median": median,
        "mad": np.median(np.abs(times - median)),
        "p90": p90,
        "p95": p95,
        "p99": p99,
        "max": times.max(),
    }
    return {"runs": len(times), **{name: round(float(v), 5) for name, v in values.items()}}


def describe_few(values: Sequence[float]) -> dict[str, float]:
    """Return runs, min, median and max of values too few for percentiles."""
    array = np.array(values, float)
    few = {"min": array.min(), "median": np.median(array), "max": array.max()}
    return {"runs": len(values), **{name: round(float(v), 3) for name, v in few.items()}}


def describe_median(times: Times) -> dict[str, float]:
    """Return runs, median, and the 95 % interval `low` to `high` of the median.

    The interval lies between two of the sorted times, those whose ranks are 1.96 sqrt(n) / 2 from
    the middle: how many of n times fall below the true median is binomial, whatever they are.
    """
    ranked, half = np.sort(times), 1.96 * math.sqrt(len(times)) / 2
    low = max(0, math.floor(len(times) / 2 - half))
    high = min(len(times) - 1, math.ceil(len(times) / 2 + half))
    few = {"median": np.median(ranked), "low": ranked[low], "high": ranked[high]}
    return {"runs": len(times), **{name: round(float(v), 5) for name, v in few.items()}}


def block_medians(times: Times) -> list[float]:
    """Return the medians of `BLOCKS` stretches of consecutive times.

    Neighbouring times depend on one another, so that a spread over single times would promise too
    much; a spread over the stretches of several processes does not.
    """
    parts = np.array_split(times, min(BLOCKS, len(times)))
    return [round(float(np.median(part)), 5) for part in parts]


def histogram(times: Times) -> dict[str, list[float]]:
    """Return `edges` and `counts` between the shortest time and p99; what is beyond is left out.

    The bins grow in proportion: times are skewed.
    """
    low, high = float(times.min()), float(np.percentile(times, 99))
    edges = np.geomspace(low, max(high, low * 1.01), HISTOGRAM_BINS + 1)
    edges[0] = low
    counts, _ = np.histogram(times, edges)
    return {"edges": [round(float(e), 6) for e in edges], "counts": [int(c) for c in counts]}


def instability(statistics: dict[str, float], medians: Sequence[float]) -> list[str]:
    """Return why times are not to be trusted; in the spirit of pyperf.

    Args:
        statistics: From `describe`.
        medians: Of each process.
    """
    found, median = [], statistics["median"]
    if statistics["p90"] > WIDE_P90 * median:
        found.append(f"p90 is {statistics['p90'] / median:.1f} times the median: unstable")
    if statistics["mad"] > WIDE_MAD * median:
        found.append(f"the MAD is {statistics['mad'] / median:.0%} of the median: unstable")
    apart = max(medians) - min(medians)
    if apart > SHIFTED_PROCESS * median:
        found.append(f"the medians of {len(medians)} processes lie {apart / median:.0%} apart")
    return found


def early_stopping_estimate(times: Times) -> float | None:
    """Return MLPerf's 90th-percentile estimate for the single-stream scenario.

    The t-th largest of n times, where t is the largest number of times above the 90th percentile
    that a sample of n has with a probability of at most 1 %: P(Binomial(n, 0.1) <= t) <= 0.01.
    Thus, with 99 % confidence, the 90th percentile is not above the estimate. None for fewer than
    the 64 times that this needs. Source: MLPerf Inference Rules, "Early Stopping", and LoadGen's
    `early_stopping.cc`, `results.cc` (https://github.com/mlcommons/inference/tree/master/loadgen).
    """
    discarded = _largest_overlatency(len(times))
    return None if discarded < 1 else float(np.sort(times)[len(times) - discarded])


def _largest_overlatency(n: int) -> int:
    """Return the largest t with P(Binomial(n, 1 - p) <= t) <= 1 - confidence; -1 if there is none.

    Probabilities are summed from ten standard deviations below the mean: what is left out is far
    below double precision of the 1 % that is sought.
    """
    q = 1.0 - MLPERF_PERCENTILE
    first = max(0, math.floor(n * q - 10 * math.sqrt(n * q) - 10))
    k = np.arange(first, math.ceil(n * q) + 1)
    start = (
        math.lgamma(n + 1) - math.lgamma(first + 1) - math.lgamma(n - first + 1)
        + first * math.log(q) + (n - first) * math.log1p(-q)
    )  # fmt: skip
    steps = np.log((n - k[:-1]) / (k[:-1] + 1.0) * (q / (1.0 - q)))
    logs = start + np.concatenate([[0.0], np.cumsum(steps)])
    below = np.cumsum(np.exp(logs)) <= 1.0 - MLPERF_CONFIDENCE
    return int(k[below][-1]) if below.any() else -1
