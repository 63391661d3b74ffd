"""Is B worse than A? By the statistics that the two files keep, never by bare averages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emo_bench.accuracy.paired import drop, same_faces, unpack_hits
from emo_bench.conditions import machine_name, same_machine
from emo_bench.results import Outcome, Result, parts
from emo_bench.shapes import NUMBER, Shape, require_shape
from emo_edge.errors import DataError, UsageError

RESAMPLES = 10_000
SEED = 0

Verdict = str
WORSE, UNCLEAR, ALLOWED = "worse than allowed", "unclear", "allowed"


# What a comparison relies on, of each kind of result.
SHAPES: dict[str, Shape] = {
    "latency": {
        "model": str,
        "runtime": str,
        "threads": int,
        "milliseconds": {"median": NUMBER},
        "process_medians": [NUMBER],
        "block_medians": [NUMBER],
    },
    "accuracy": {
        "model": str,
        "images": int,
        "top1": NUMBER,
        "protocol": {"scored_on": str},
        "faces_sha256": str,
        "hits": str,
    },
    "instructions": {
        "model": str,
        "cpu": str,
        "suite": str,
        "runtime": str,
        "million_instructions": {"*": NUMBER},
    },
}
MACHINE: Shape = {"board": str | None, "cpu": str | None, "machine": str, "cpus": int}


@dataclass(frozen=True)
class Change:
    """What became of one number.

    Attributes:
        subject: The model, and where it ran.
        quantity: What was compared, with its unit.
        before: In A.
        after: In B.
        change: In percent (times, counts) or in points (top-1); above 0 is worse.
        interval: 95 % interval of the change.
        verdict: "allowed", "worse than allowed", or "unclear": more than is allowed, but no change
            at all is within the interval.
    """

    subject: str
    quantity: str
    before: float
    after: float
    change: float
    interval: tuple[float, float]
    verdict: Verdict


class Comparison(NamedTuple):
    """What became of every result that both have, and what B lacks.

    `lost` names single results and may have been left out on purpose; `worse` names whole kinds
    of result that are gone, and what failed.
    """

    changes: list[Change]
    lost: list[str]
    worse: list[str]


@dataclass(frozen=True)
class Allowed:
    """How much worse B may be.

    Attributes:
        slowdown: In percent of A's median time, or of its count of instructions.
        drop: In points of top-1.
    """

    slowdown: float
    drop: float


def percent(text: str) -> float:
    """Return 10.0 for "10%" or "10"; raises `UsageError` for anything else."""
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UsageError(f"--max-slowdown takes percent such as 10%, not {text!r}")
    return value


def compare(
    before: Outcome, after: Outcome, allowed: Allowed, *, across_machines: bool = False
) -> Comparison:
    """Compare the results that both have, kind by kind.

    Raises:
        UsageError: times of different machines, unless `across_machines`.
        DataError: nothing in common, scores on other faces, results of the same name of which one
            file has more than the other, or a damaged file.
    """
    _require_sound(before, "first")
    _require_sound(after, "second")
    changes: list[Change] = []
    lost: list[str] = []
    failed = False
    for old, new in _common_parts(before, after):
        failed |= bool(new.failures)
        if old.kind == "latency":
            _refuse_other_machine(old, new, across_machines)
        pairs, alone = _pairs(old, new)
        lost += alone
        for name, a, b in pairs:
            changes += JUDGES[old.kind](name, a, b, allowed)
    if not changes and not failed:
        kinds = ", ".join(JUDGES)
        raise DataError(f"the two files have nothing of the same model in common ({kinds})")
    gone = _kinds(before) - _kinds(after)
    missing = [f"{kind}: not in the second file" for kind in JUDGES if kind in gone]
    return Comparison(changes, lost, missing + _failed(after))


def _require_sound(outcome: Outcome, which: str) -> None:
    """Raise `DataError` unless what is compared is as emo-bench writes it."""
    for part in parts(outcome):
        if part.kind not in SHAPES:
            continue
        try:
            require_shape(part.results, [SHAPES[part.kind]], "the results")
            if part.kind == "latency":
                require_shape(part.conditions_before, MACHINE, "the conditions")
            if any(number <= 0 for result in part.results for number in _divided_by(result)):
                raise ValueError("a time or a count is not above 0")
        except ValueError as error:
            raise DataError(f"{part.kind} in the {which} file is damaged: {error}") from error


def _divided_by(result: Result) -> Iterator[float]:
    yield from result.get("million_instructions", {}).values()
    if "milliseconds" in result:
        yield from (len(result["process_medians"]), len(result["block_medians"]))
        yield from (result["milliseconds"]["median"], *result["block_medians"])


def _kinds(outcome: Outcome) -> set[str]:
    return {part.kind for part in parts(outcome)}


def _failed(outcome: Outcome) -> list[str]:
    """Name what failed: in the parts, and what a file of several knows beyond them."""
    found = {
        (failure["subject"], failure["error"]): f"{failure['subject']} failed"
        for failure in outcome.failures
    }
    named = []
    for part in parts(outcome):
        for failure in part.failures:
            found.pop((failure["subject"], failure["error"]), None)
            named.append(f"{part.kind} of {failure['subject']} failed")
    return named + list(found.values())


def _common_parts(before: Outcome, after: Outcome) -> Iterator[tuple[Outcome, Outcome]]:
    later = {part.kind: part for part in parts(after)}
    for part in parts(before):
        if part.kind in JUDGES and part.kind in later:
            yield part, later[part.kind]


def _refuse_other_machine(old: Outcome, new: Outcome, across_machines: bool) -> None:
    if across_machines or same_machine(old.conditions_before, new.conditions_before):
        return
    names = [machine_name(outcome.conditions_before) for outcome in (old, new)]
    raise UsageError(
        f"the times are of different machines ({names[0]}; {names[1]}): absolute times say "
        "nothing; add --across-machines if you mean it"
    )


def _key(kind: str, result: Result) -> str:
    """A model by its name: that its bytes may differ is the point. A runtime without version."""
    if kind == "accuracy":
        return str(result["model"])
    runtime = result["runtime"].partition(" ")[0]
    if kind == "instructions":
        return f"{result['model']}, {result['cpu']}, {result['suite']}, {runtime}"
    threads = result["threads"]
    return f"{result['model']}, {runtime}, {threads} thread{'s' if threads > 1 else ''}"


def _pairs(old: Outcome, new: Outcome) -> tuple[list[tuple[str, Result, Result]], list[str]]:
    """Pair results by their names; those of the same name in the order in which they stand."""
    earlier, later = _by_key(old), _by_key(new)
    pairs: list[tuple[str, Result, Result]] = []
    for key in (key for key in earlier if key in later):
        a, b = len(earlier[key]), len(later[key])
        if a != b:
            raise DataError(
                f"{old.kind} of {key}: {a} in the first file, {b} in the second, and nothing tells "
                "which belong together; give files of the same name other names"
            )
        names = [key] if a == 1 else [f"{key} ({number} of {a})" for number in range(1, a + 1)]
        pairs += zip(names, earlier[key], later[key], strict=True)
    lost = [f"{old.kind} of {key}: not in the second file" for key in earlier if key not in later]
    return pairs, lost


def _by_key(outcome: Outcome) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in outcome.results:
        found.setdefault(_key(outcome.kind, result), []).append(result)
    return found


def _latency(subject: str, before: Result, after: Result, allowed: Allowed) -> list[Change]:
    medians = [result["milliseconds"]["median"] for result in (before, after)]
    change = 100 * (medians[1] / medians[0] - 1)
    low, high = ratio_interval(before, after)
    interval = (100 * (low - 1), 100 * (high - 1))
    verdict = ALLOWED
    if change > allowed.slowdown:
        verdict = WORSE if interval[0] > 0 else UNCLEAR
    return [Change(subject, "median, ms", medians[0], medians[1], change, interval, verdict)]


def _instructions(subject: str, before: Result, after: Result, allowed: Allowed) -> list[Change]:
    """Judge counts, which are the same every time: any change is one."""
    found = []
    for name, old in before["million_instructions"].items():
        new = after["million_instructions"].get(name)
        if new is not None:
            change = 100 * (new / old - 1)
            verdict = WORSE if change > allowed.slowdown else ALLOWED
            quantity = f"{name}, million instructions"
            found.append(Change(subject, quantity, old, new, change, (change, change), verdict))
    return found


def _accuracy(subject: str, before: Result, after: Result, allowed: Allowed) -> list[Change]:
    if not same_faces(before, after):
        raise DataError(
            f"{subject} was scored on other faces or labels ({before['protocol']['scored_on']}, "
            f"{before['images']}; {after['protocol']['scored_on']}, {after['images']})"
        )
    lost: dict[str, Any] = drop(unpack_hits(before), unpack_hits(after))
    low, high = lost["drop_interval"]
    verdict = WORSE if lost["drop"] > allowed.drop else ALLOWED
    scores = (100 * before["top1"], 100 * after["top1"])
    return [Change(subject, "top-1, %", *scores, lost["drop"], (low, high), verdict)]


JUDGES = {"latency": _latency, "accuracy": _accuracy, "instructions": _instructions}


def ratio_interval(before: Result, after: Result) -> tuple[float, float]:
    """Return the 95 % interval of the ratio of two medians, B's to A's.

    A percentile bootstrap over processes (over stretches of the only process, where there is but
    one): single times depend on their neighbours and would promise too much.
    """
    rng = np.random.default_rng(SEED)
    ratios = _resampled(after, rng) / _resampled(before, rng)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def _resampled(result: Result, rng: np.random.Generator) -> NDArray[np.float64]:
    blocks = np.array(result["block_medians"], float)
    processes = len(result["process_medians"])
    clusters = np.array_split(blocks, processes if processes > 1 else len(blocks))
    # A process of very few runs has fewer blocks than the others: NaN stands where it has none.
    table = np.full((len(clusters), max(map(len, clusters))), np.nan)
    for row, cluster in zip(table, clusters, strict=True):
        row[: len(cluster)] = cluster
    chosen = rng.integers(0, len(table), (RESAMPLES, len(table)))
    return np.asarray(np.nanmedian(table[chosen].reshape(RESAMPLES, -1), axis=1))
