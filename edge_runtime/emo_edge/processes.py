"""Starting modules of this toolkit in processes of their own."""

from __future__ import annotations

import sys

# As `python -m`, which would look for modules in the current folder first: a user's platform.py
# must not be run because emo-edge was typed beside it. (Python's own -P is of 3.11.)
_RUN = (
    "import sys; sys.path[:] = [place for place in sys.path if place]; import runpy; "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs `module` with this Python, blind to the current folder."""
    return [sys.executable, "-c", _RUN, module, *arguments]
