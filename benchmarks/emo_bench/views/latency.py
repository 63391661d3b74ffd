"""How latencies are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emo_bench.grids import Grid
from emo_bench.latency.operators import milliseconds_of_parts
from emo_bench.results import Result, subject_of

STATISTICS = ("min", "median", "mad", "p90", "p95", "p99")
COLD = ("process", "import", "load", "first_result", "total")


def grids(results: Sequence[Result]) -> list[Grid]:
    """Return the tables of `emo-bench latency`."""
    tables = [_steady(results), _cold(results), _stages(results)]
    tables += [operator_grid(result) for result in results if "whole" in result["operators"]]
    timed = [result for result in results if "mlperf" in result]
    return [*tables, _mlperf(timed)] if timed else tables


def operator_grid(result: Result) -> Grid:
    """Return what a model is made of, with the times of its operators if they were taken."""
    made, subject = result["operators"], subject_of(result)
    columns = ("operator", "type", "delegated", "input", "output", "MMAC")
    if "whole" not in made:
        title = f"{subject}: operators ({made['macs'] / 1e6:.1f} MMAC); for their times: --per-op"
        return Grid(title, columns, [_operator(op) for op in made["list"]], left=3)
    # One without times works on weights alone: once, not for every face.
    timed = [op for op in made["list"] if op["milliseconds"] is not None]
    rows = [(*_operator(op), *_time(op["milliseconds"], made)) for op in timed]
    if once := len(made["list"]) - len(timed):
        rows.append((f"{once} on weights alone, once", "", "", "", "", "", "-", "-", "-"))
    for piece in made["partitions"]:
        name = f"{len(piece['operators'])} in one delegate"
        rows.append((name, "", "yes", "", "", "", *_time(piece["milliseconds"], made)))
    title = (
        f"{subject}: operators, each alone, milliseconds (medians of fastest runs); the whole "
        f"takes {made['whole']['median']:.3f}, its parts {milliseconds_of_parts(made):.3f}"
    )
    return Grid(title, (*columns, "ms", "95 % interval", "of the whole"), rows, left=3)


def _operator(op: dict[str, Any]) -> tuple[str, ...]:
    return (
        op["operator"],
        op["type"],
        "yes" if op["delegated"] else "no",
        "x".join(map(str, op["input"])),
        "x".join(map(str, op["output"])),
        f"{op['macs'] / 1e6:.2f}",
    )


def _time(times: dict[str, float], made: dict[str, Any]) -> tuple[str, str, str]:
    share = times["median"] / made["whole"]["median"]
    return f"{times['median']:.4f}", f"{times['low']:.4f} - {times['high']:.4f}", f"{share:.1%}"


def _steady(results: Sequence[Result]) -> Grid:
    names = ("MAD" if name == "mad" else name for name in STATISTICS)
    columns = ("model", "runtime", "kB", "threads", "runs", *names, "CPU", "per s")
    rows = [
        (
            *_subject(result),
            f"{result['bytes'] / 1000:.0f}",
            str(result["threads"]),
            str(result["milliseconds"]["runs"]),
            *(f"{result['milliseconds'][name]:.3f}" for name in STATISTICS),
            f"{result['cpu_milliseconds']['median']:.3f}",
            f"{result['per_second']:.0f}",
        )
        for result in results
    ]
    return Grid("One face, prepared pixels to probabilities, milliseconds", columns, rows, left=2)


def _cold(results: Sequence[Result]) -> Grid:
    steps = [name.replace("_", " ") for name in COLD]
    columns = ("model", "runtime", "threads", *steps, "MiB", "delegated")
    rows = [
        (
            *_subject(result),
            str(result["threads"]),
            *(f"{result['cold_start'][step]['median']:.1f}" for step in COLD),
            "-" if result["resident_mib"] is None else f"{result['resident_mib']['median']:.0f}",
            _delegated(result["operators"]),
        )
        for result in results
    ]
    title = "From the start of a process to its first result, milliseconds (medians); memory then"
    return Grid(title, columns, rows, left=2)


def _stages(results: Sequence[Result]) -> Grid:
    first = results[0]["stages"]
    columns = ("model", "runtime", "threads", *first["milliseconds"], "sum")
    rows = []
    for result in results:
        medians = [times["median"] for times in result["stages"]["milliseconds"].values()]
        cells = [f"{median:.3f}" for median in (*medians, sum(medians))]
        rows.append((*_subject(result), str(result["threads"]), *cells))
    width, height = first["size"]
    title = (
        f"One face of {first['picture']} ({width} x {height}, detector {first['detector']}, "
        "whole picture searched), milliseconds (medians)"
    )
    return Grid(title, columns, rows, left=2)


def _mlperf(results: Sequence[Result]) -> Grid:
    rows = [
        (
            *_subject(result),
            str(result["threads"]),
            f"{result['mlperf']['seconds']:.0f}",
            str(result["mlperf"]["queries"]),
            _estimate(result["mlperf"]),
            "yes" if result["mlperf"]["valid"] else "no",
        )
        for result in results
    ]
    columns = ("model", "runtime", "threads", "seconds", "queries", "p90 estimate", "valid")
    return Grid("MLPerf single-stream, milliseconds (no submission)", columns, rows, left=2)


def _estimate(mlperf: dict[str, Any]) -> str:
    estimate = mlperf["p90_estimate"]
    return "-" if estimate is None else f"{estimate:.3f}"


def _delegated(made: dict[str, Any]) -> str:
    return f"{made['delegated']}/{made['operators']} ops"


def _subject(result: Result) -> tuple[str, str]:
    return result["model"], result["runtime"]
