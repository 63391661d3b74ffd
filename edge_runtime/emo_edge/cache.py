"""The folder of what this user's machine has fetched, measured or tried: safe to delete."""

from __future__ import annotations

import os
from pathlib import Path

from emo_edge.errors import OutputError


def cache_folder() -> Path:
    """Return $XDG_CACHE_HOME/emo-toolkit, else ~/.cache/emo-toolkit; it may not exist yet.

    Raises `OutputError` for a user without a home.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # as the XDG specification asks
        try:
            base = Path.home() / ".cache"
        except RuntimeError as error:  # a user without an entry in /etc/passwd
            raise OutputError("no home folder to keep files in; set XDG_CACHE_HOME") from error
    return base / "emo-toolkit"
