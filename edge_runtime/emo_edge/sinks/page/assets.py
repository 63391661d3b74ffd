"""The files of the page, read once from the package."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files

from emo_edge.sinks.page.answers import Answer

FOLDER = files("emo_edge.sinks.page") / "assets"


class Asset:
    """A file of the page; browsers keep it and ask whether it has changed.

    Args:
        name: In the package's folder of assets.
        kind: Content-Type.
    """

    def __init__(self, name: str, kind: str) -> None:
        self._kind, self._body = kind, (FOLDER / name).read_bytes()
        self._tag = f'"{hashlib.sha256(self._body).hexdigest()[:16]}"'

    def answer(self, status: int, headers: Mapping[str, str], *, reveal: bool = False) -> Answer:
        """Return the file, not to be kept; `reveal` shows what in it is hidden."""
        body = self._body.replace(b" hidden", b"") if reveal else self._body
        return Answer(status, self._kind, body, headers)

    def unless_known(self, tag: str) -> Answer:
        """Return the file, or that the browser has it already."""
        headers = {"ETag": self._tag, "Cache-Control": "no-cache"}
        if tag == self._tag:
            return Answer(304, self._kind, b"", headers)
        return Answer(200, self._kind, self._body, headers)


HTML = "text/html; charset=utf-8"
WELCOME = Asset("welcome.html", HTML)
SIGN_IN = Asset("sign-in.html", HTML)
ASSETS = {
    "/": Asset("index.html", HTML),
    "/page.css": Asset("page.css", "text/css; charset=utf-8"),
    "/page.js": Asset("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": Asset("icon.svg", "image/svg+xml"),
}
