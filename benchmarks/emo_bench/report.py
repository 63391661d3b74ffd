"""A report: one HTML page that needs nothing else, Markdown for a README, and all the numbers."""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from emo_bench import drawings
from emo_bench.conditions import Conditions, machine_name
from emo_bench.drawings import Picture
from emo_bench.grids import Grid, html, markdown
from emo_bench.results import ALL, Outcome, command_line, write
from emo_bench.views.latency import operator_grid
from emo_edge.artifacts import write_bytes

Section = tuple[Outcome, Sequence[Picture]]

PICTURES = "pictures"
TITLES = {
    "accuracy": "Accuracy",
    "latency": "Latency",
    "pipeline": "The whole loop",
    "detectors": "Face detectors",
}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13px; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .6rem; text-align: left; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.warnings { background: #fff4d6; border-left: 4px solid #e0a800; padding: .6rem 1rem; }
.failures { background: #fde2e1; border-left: 4px solid #c0392b; padding: .6rem 1rem; }
figure { margin: 1rem 0; } img { max-width: 100%; } figcaption { color: #555; }
pre { background: #f5f5f5; padding: .6rem; overflow-x: auto; font-size: 12px; }
"""


def write_report(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Write report.json, report.md, report.html and the pictures into `folder`."""
    whole = Outcome(
        kind=ALL,
        command=command_line(),
        conditions_before=outcomes[0].conditions_before,
        conditions_after=outcomes[-1].conditions_after,
        warnings=[],
        results=[outcome.to_json() for outcome in outcomes],
        failures=[failure for outcome in outcomes for failure in outcome.failures],
    )
    overview, pictures = drawings.draw(folder / PICTURES, outcomes)
    sections = list(zip(outcomes, pictures, strict=True))
    write(folder / "report.json", whole)
    write_bytes(folder / "report.md", _bytes(_markdown(whole, overview, sections)))
    write_bytes(folder / "report.html", _bytes(_html(whole, overview, sections)))


def _bytes(lines: Iterator[str]) -> bytes:
    """Return lines as UTF-8; what a file name holds that is none is escaped."""
    return "\n".join(lines).encode(errors="backslashreplace")


def _grids(outcome: Outcome) -> list[Grid]:
    """Ask the module that shows this kind of result."""
    view = importlib.import_module(f"emo_bench.views.{outcome.kind}")
    return list(view.grids(outcome.results)) if outcome.results else []


def _warnings(outcomes: Sequence[Outcome]) -> list[str]:
    return [
        f"{TITLES.get(outcome.kind, outcome.kind).lower()}: {text}"
        for outcome in outcomes
        for text in outcome.all_warnings()
    ]


def _failures(outcomes: Sequence[Outcome]) -> list[str]:
    return [f"{f['subject']}: {f['error']}" for outcome in outcomes for f in outcome.failures]


def _summary(whole: Outcome) -> str:
    state = whole.conditions_before
    return f"{machine_name(state)}; emo-toolkit {state['versions']['emo-toolkit']}; {state['utc']}"


def _markdown(
    whole: Outcome, overview: Sequence[Picture], sections: Sequence[Section]
) -> Iterator[str]:
    outcomes = [outcome for outcome, _ in sections]
    yield f"# Benchmark report\n\n{_summary(whole)}\n\n    {whole.command}\n"
    for heading, texts in (
        ("Warnings", _warnings(outcomes)),
        ("Could not be measured", _failures(outcomes)),
    ):
        if texts:
            yield "\n".join([f"{heading}:\n", *(f"- {text}" for text in texts), ""])
    yield from map(_markdown_picture, overview)
    for outcome, pictures in sections:
        yield f"\n## {TITLES.get(outcome.kind, outcome.kind)}\n"
        for grid in _grids(outcome):
            yield f"{markdown(grid)}\n"
        yield from map(_markdown_picture, pictures)


def _markdown_picture(picture: Picture) -> str:
    return f"![{picture.caption}]({PICTURES}/{picture.path.name})\n"


def _html(
    whole: Outcome, overview: Sequence[Picture], sections: Sequence[Section]
) -> Iterator[str]:
    outcomes = [outcome for outcome, _ in sections]
    yield '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>emo-toolkit benchmark report</title>\n<style>{STYLE}</style>"
    yield f"<h1>Benchmark report</h1>\n<p>{escape(_summary(whole))}</p>"
    yield f"<pre>{escape(whole.command)}</pre>"
    yield from _html_list("warnings", "Read these numbers with care", _warnings(outcomes))
    yield from _html_list("failures", "Could not be measured", _failures(outcomes))
    yield from map(_html_picture, overview)
    for outcome, pictures in sections:
        yield f"<h2>{escape(TITLES.get(outcome.kind, outcome.kind))}</h2>"
        yield f"<pre>{escape(outcome.command)}</pre>"
        yield from (f'<div class="wide">{html(grid)}</div>' for grid in _grids(outcome))
        yield from map(_html_picture, pictures)
        yield from _html_operators(outcome)
        yield from _html_conditions(outcome)
    yield "</html>\n"


def _html_list(kind: str, heading: str, texts: Sequence[str]) -> Iterator[str]:
    if texts:
        items = "".join(f"<li>{escape(text)}</li>" for text in texts)
        yield f'<div class="{kind}"><b>{heading}</b><ul>{items}</ul></div>'


def _html_picture(picture: Picture) -> str:
    content = base64.b64encode(picture.path.read_bytes()).decode()
    caption = escape(picture.caption)
    image = f'<img alt="{caption}" src="data:image/png;base64,{content}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _html_operators(outcome: Outcome) -> Iterator[str]:
    for result in outcome.results if outcome.kind == "latency" else ():
        grid = operator_grid(result)
        summary = f"<summary>{escape(grid.title)}</summary>"
        yield f'<details>{summary}<div class="wide">{html(grid)}</div></details>'


def _html_conditions(outcome: Outcome) -> Iterator[str]:
    before, after = outcome.conditions_before, outcome.conditions_after
    rows = [(name, _text(before, name), _text(after, name)) for name in before]
    grid = Grid("Conditions", ("", "before", "after"), rows, left=3)
    yield f"<details><summary>Conditions</summary>{html(grid)}</details>"


def _text(state: Conditions, name: str) -> str:
    value = state[name]
    return value if isinstance(value, str) else json.dumps(value)
