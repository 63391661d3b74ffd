"""What an answer is, and the headers that every answer carries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The page loads nothing from elsewhere, is framed by nobody, and tells nobody its address (which
# may hold the token).
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Answer:
    """An answer that is whole when it is given (a stream is not).

    Attributes:
        status: HTTP status.
        kind: Content-Type.
        body: The content.
        headers: Beside those of `SECURITY`.
    """

    status: int
    kind: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer in JSON."""
    body = json.dumps(content, allow_nan=False).encode() + b"\n"
    return Answer(status, "application/json", body, headers or {})


def refusal(status: int, why: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return why something is not done."""
    return as_json({"error": why}, status, headers)
