"""The result of a benchmark: one versioned JSON envelope, whatever was measured.

    {"schema": 1, "kind": "latency", "command": "emo-bench latency small",
     "conditions_before": {...}, "conditions_after": {...}, "warnings": [...],
     "results": [{...}, ...], "failures": [{"subject": ..., "error": ..., "exit_code": ...}]}

What a result holds depends on the kind and is told by the module that measures it. A file of kind
"all" holds whole envelopes in `results`.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emo_bench.conditions import Conditions, conditions, machine_warnings
from emo_bench.progress import Jobs
from emo_bench.shapes import Shape, require_shape
from emo_edge.artifacts import as_text, sha256, write_json
from emo_edge.errors import DataError, EmoError
from emo_edge.messages import say

SCHEMA = 1
BUG, INTERRUPTED = 1, 130  # exit codes
ALL = "all"

Result = dict[str, Any]
Job = tuple[str, Callable[[], Result]]  # what is measured, for messages; and how


# What every reader of an envelope relies on.
ENVELOPE: Shape = {
    "kind": str,
    "command": str,
    "conditions_before": {},
    "conditions_after": {},
    "warnings": [str],
    "results": [{"warnings?": [str], "model?": str, "runtime?": str, "threads?": int}],
    "failures": [{"subject": str, "error": str, "exit_code": int}],
}


@dataclass(frozen=True)
class Outcome:
    """What one benchmark found.

    Attributes:
        kind: "latency", "accuracy", ...; "all" for a file of several.
        command: What was typed.
        conditions_before: Of the machine (see `conditions`).
        conditions_after: The same, when all was measured.
        warnings: Why the numbers are not to be trusted; a result may carry more of its own.
        results: One for each subject that could be measured.
        failures: One for each that could not: `subject`, `error`, `exit_code`.
    """

    kind: str
    command: str
    conditions_before: Conditions
    conditions_after: Conditions
    warnings: list[str]
    results: list[Result]
    failures: list[dict[str, Any]]

    def all_warnings(self) -> Iterator[str]:
        """Yield the warnings, those of a single result with what it is about."""
        yield from self.warnings
        for result in self.results:
            yield from (f"{subject_of(result)}: {text}" for text in result.get("warnings", ()))

    @property
    def exit_code(self) -> int:
        """0, or that of the first failure; that of an interruption comes before all others."""
        codes = [int(failure["exit_code"]) for failure in self.failures]
        return INTERRUPTED if INTERRUPTED in codes else next(iter(codes), 0)

    def to_json(self) -> dict[str, Any]:
        """Return the envelope."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Outcome:
        """Read what `to_json` gave; raises `ValueError` or `TypeError` on anything else."""
        fields = dict(content)
        schema = fields.pop("schema", None)
        if type(schema) is not int or schema < 1:  # not isinstance: True is an int
            raise ValueError("it is not a result of emo-bench")
        if schema > SCHEMA:
            raise ValueError("it was written by a newer emo-toolkit: upgrade this one")
        require_shape(fields, ENVELOPE, "the result")
        outcome = cls(**fields)
        parts(outcome)  # reads those inside too
        return outcome


def measure_all(kind: str, jobs: Sequence[Job], json_file: Path | None = None) -> Outcome:
    """Do one job after the other; one that fails is named and does not stop the others.

    Ctrl-C ends the job at hand, as a failure, and leaves out those after it.

    Args:
        kind: What is measured.
        jobs: In this order.
        json_file: Where the outcome is written before anybody is shown it; after a bug, which is
            raised, what the jobs before it found.
    """
    before = conditions()
    results: list[Result] = []
    failures: list[dict[str, Any]] = []

    def written() -> Outcome:
        after = conditions()
        warnings = machine_warnings(before, after)
        found = Outcome(kind, command_line(), before, after, warnings, results, failures)
        if json_file is not None:  # with failures alone too, lest a comparison miss them
            write(json_file, found)
        return found

    subject = kind
    try:
        with Jobs(kind, len(jobs)) as progress:
            for subject, measure in jobs:
                progress.begin(subject)
                try:
                    results.append(measure())
                except EmoError as error:
                    say(f"error: {error}")
                    failures.append(_failure(subject, str(error), error.exit_code))
    except KeyboardInterrupt:
        say("interrupted")
        failures.append(_failure(subject, "interrupted", INTERRUPTED))
    except Exception as error:
        failures.append(_failure(subject, f"a bug: {error!r}", BUG))
        written()
        raise
    return written()


def _failure(subject: str, error: str, exit_code: int) -> dict[str, Any]:
    return {"subject": subject, "error": error, "exit_code": exit_code}


def identity(model: Path) -> Result:
    """Return which model file a result is about: `model`, `sha256`, `bytes`."""
    content = model.read_bytes()
    return {"model": as_text(model.name), "sha256": sha256(content), "bytes": len(content)}


def subject_of(result: Result) -> str:
    """Return what a result is about, e.g. "small.tflite, tflite_runtime 2.14.0, 2 threads"."""
    words = [result[name] for name in ("model", "runtime") if name in result]
    if "threads" in result:
        words.append(f"{result['threads']} thread{'s' if result['threads'] > 1 else ''}")
    return ", ".join(words)


def command_line() -> str:
    """Return the command that is running, as one would type it."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def write(path: Path, outcome: Outcome) -> None:
    """Write the envelope, whole or not at all."""
    write_json(path, outcome.to_json())


def read(path: Path) -> Outcome:
    """Read an envelope; raises `DataError` if it is none."""
    try:
        content = json.loads(path.read_bytes(), parse_constant=_no_number)
        if not isinstance(content, dict):
            raise ValueError("it is not a result of emo-bench")
        return Outcome.from_json(content)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"cannot read results from {path}: {error}") from error


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def parts(outcome: Outcome) -> list[Outcome]:
    """Return the envelopes inside one of kind "all", else the envelope itself."""
    if outcome.kind != ALL:
        return [outcome]
    return [Outcome.from_json(content) for content in outcome.results]
