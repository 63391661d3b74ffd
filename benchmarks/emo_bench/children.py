"""Measuring in a process of its own: one runtime each, and never one that imported TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from emo_edge.errors import EmoError, ModelError
from emo_edge.messages import say
from emo_edge.processes import module_command

BUG = 1


def in_own_process(module: str, task: Mapping[str, Any]) -> dict[str, Any]:
    """Run `python -m module` on a task and return what it printed as JSON.

    Raises `EmoError` with the child's own words and exit code, `ModelError` if it crashed. A bug's
    traceback is shown.
    """
    command = module_command(module, json.dumps(task))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return dict(json.loads(done.stdout))
    if done.returncode < 0:
        raise ModelError(f"{task['model']} crashes its runtime (signal {-done.returncode})")
    if done.returncode == BUG:
        say(done.stderr)
        raise ModelError(f"{module} failed on {task['model']}, see above")
    said = done.stderr.strip().splitlines() or [f"{module} on {task['model']} gave no reason"]
    error = EmoError(said[-1].removeprefix("error: "))
    error.exit_code = done.returncode
    raise error


def answer(measure: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    """Do the task that the parent gave this process; it raises what `measure` raises here."""
    try:
        print(json.dumps(measure(json.loads(sys.argv[1]))))
    except EmoError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
