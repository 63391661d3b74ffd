"""`emo-edge doctor`."""

from __future__ import annotations

from emo_edge.cli.options import ModelOption
from emo_edge.commands import guarded
from emo_edge.errors import HealthError
from emo_edge.shipped import DEFAULT, find_model


@guarded
def doctor(model: ModelOption = DEFAULT) -> None:
    """Check this machine and a model: what works, what does not, and what fixes it."""
    from emo_edge.doctor import examine

    problems = 0
    for finding in examine(find_model(model)):
        print(f"{finding.verdict:<8} {finding.subject:<24} {finding.detail}")
        problems += finding.verdict == "problem"
    if problems:
        raise HealthError(f"{problems} problem(s) found, see above")
