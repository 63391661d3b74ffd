"""What the doctor says: one finding a thing examined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from emo_edge.errors import EmoError


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes:
        verdict: "OK", "note" (works, but could be better) or "problem".
        subject: What was examined.
        detail: What was found.
        fix: The line that mends it; empty where there is nothing to mend.
    """

    verdict: Literal["OK", "note", "problem"]
    subject: str
    detail: str
    fix: str = ""


def tried(subject: str, check: Callable[[], Finding]) -> Finding:
    """Return the finding of `check`, or the problem that it met."""
    try:
        return check()
    except EmoError as error:
        return Finding("problem", subject, str(error))
    except (ImportError, SystemError) as error:  # a numpy that the runtime was not built for
        fix = "pip install --force-reinstall emo-toolkit"
        return Finding("problem", subject, f"{type(error).__name__}: {error}", fix)
