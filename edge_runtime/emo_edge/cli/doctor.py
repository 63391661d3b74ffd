"""`emo-edge doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emo_edge.cli.options import ModelOption
from emo_edge.commands import guarded
from emo_edge.errors import HealthError
from emo_edge.shipped import DEFAULT

if TYPE_CHECKING:
    from emo_edge.doctor import Finding


@guarded
def doctor(
    context: typer.Context,
    model: ModelOption = DEFAULT,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a finding and line, for monitors.")
    ] = False,
) -> None:
    """Check this machine and a model: what works, what does not, and what fixes it."""
    from emo_edge.doctor import examine

    problems = 0
    named = context.parent.params.get("config") if context.parent else None
    for finding in examine(model, None if named is None else Path(named)):
        print(_as_json(finding) if as_json else _as_text(finding), flush=True)
        problems += finding.verdict == "problem"
    if problems:
        raise HealthError(f"{problems} problem(s) found, see above")


def _as_text(finding: Finding) -> str:
    line = f"{finding.verdict:<8} {finding.subject:<14} {finding.detail}"
    return f"{line}\n{'':<23} -> {finding.fix}" if finding.fix else line


def _as_json(finding: Finding) -> str:
    import dataclasses
    import json

    return json.dumps(dataclasses.asdict(finding), ensure_ascii=False)
