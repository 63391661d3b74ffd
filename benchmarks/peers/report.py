"""The peers' table in Markdown: numbers, ratios, date and conditions; the best of a column bold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emo_bench.conditions import machine_name
from emo_bench.grids import Grid
from emo_bench.grids import markdown as grid_markdown
from emo_bench.results import Outcome, Result

Value = Callable[[Result], float | None]


@dataclass(frozen=True)
class Column:
    """A column: its head, how a result gives its value, how that is written, what is better."""

    name: str
    value: Value
    form: str
    best: Callable[[list[float]], float] = min


def markdown(outcome: Outcome) -> str:
    """Return both tables, what could not be measured, and the conditions."""
    columns = _columns(outcome.results)
    state = outcome.conditions_before
    lines = [
        grid_markdown(_numbers(outcome.results, columns)),
        "",
        *((grid_markdown(_ratios(outcome.results, columns)), "") if outcome.results else ()),
        *(f"Not measured: {f['subject']}: {f['error']}." for f in outcome.failures),
        f"Measured {state['utc'][:10]} on {machine_name(state)}, Python "
        f"{state['versions']['python']}, load {state['load_per_cpu']} per CPU at the start.",
        *(f"Beware: {warning}." for warning in outcome.warnings),
    ]
    return "\n".join(lines)


def _columns(results: Sequence[Result]) -> list[Column]:
    videos = dict.fromkeys(v["video"] for result in results for v in result["videos"])
    return [
        Column("FER top-1", _accuracy("fer"), "{:.1%}", max),
        Column("FER+ top-1", _accuracy("ferplus"), "{:.1%}", max),
        Column("CPU ms a face", lambda r: r.get("cpu_ms_per_face"), "{:.2f}"),
        *(
            Column(f"CPU ms a frame, {video}", _video(video, "cpu_ms_per_frame"), "{:.1f}")
            for video in videos
        ),
        Column("start: CPU s", lambda r: r["start"]["cpu_seconds"], "{:.2f}"),
        Column("start: s", lambda r: r["start"]["wall_seconds"], "{:.2f}"),
        Column("resident MiB", _resident, "{:.0f}"),
        Column("installed MB", lambda r: r["installed_bytes"] / 1e6, "{:,.0f}"),
    ]


def _accuracy(kind: str) -> Value:
    return lambda result: result.get("accuracy", {}).get(kind, {}).get("top1")


def _video(name: str, what: str) -> Value:
    return lambda result: next((v[what] for v in result["videos"] if v["video"] == name), None)


def _resident(result: Result) -> float | None:
    """Return the highest while a video is read; without one, while pictures are started with."""
    peaks = [video["peak_rss_mib"] for video in result["videos"]]
    return float(max(peaks) if peaks else result["start"]["peak_rss_mib"])


def _numbers(results: Sequence[Result], columns: Sequence[Column]) -> Grid:
    best = {}
    for column in columns:
        values = [v for v in map(column.value, results) if v is not None]
        best[column.name] = column.best(values) if values else None

    def cell(column: Column, result: Result) -> str:
        value = column.value(result)
        if value is None:
            return "-"
        text = column.form.format(value)
        return f"**{text}**" if value == best[column.name] else text

    rows = [(r["model"], *(cell(column, r) for column in columns)) for r in results]
    names = ("", *(column.name for column in columns))
    return Grid("Numbers; the best of a column is bold", names, rows)


def _ratios(results: Sequence[Result], columns: Sequence[Column]) -> Grid:
    """Costs as multiples of the first row's, accuracies as points above it."""
    first = results[0]

    def cell(column: Column, result: Result) -> str:
        value, own = column.value(result), column.value(first)
        if value is None or own is None:
            return "-"
        if column.best is max:
            return f"{100 * (value - own):+.1f}"
        return f"{value / own:.2f}x" if value < 10 * own else f"{value / own:.0f}x"

    rows = [(r["model"], *(cell(column, r) for column in columns)) for r in results[1:]]
    names = ("", *(column.name for column in columns))
    return Grid(f"Beside {first['model']}: points, and multiples of its cost", names, rows)
