"""A model is tried in a process of its own before it can kill this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.drawn import FLOAT32, INT8
from emo_edge.backends import BACKENDS, Interpreter, find_backend
from emo_edge.errors import ModelError
from emo_edge.modelfile import read_model
from emo_edge.probe import delegates, refuse_crasher


@pytest.mark.parametrize("path", [INT8, FLOAT32], ids=["int8", "float32"])
def test_the_child_counts_the_delegates_that_the_interpreter_here_has(path: Path) -> None:
    here = Interpreter(read_model(path).flatbuffer, find_backend())
    assert delegates(path, find_backend()) == here.delegates()


def test_a_model_that_runs_is_not_refused() -> None:
    refuse_crasher(INT8, find_backend())


def test_python_files_of_the_current_folder_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "platform.py").write_text("raise SystemExit('a file of the user was run')")
    monkeypatch.chdir(tmp_path)
    assert delegates(INT8, find_backend()) >= 0


@pytest.mark.usefixtures("unverified")
def test_a_model_that_kills_the_child_is_refused(tmp_path: Path) -> None:
    wild = tmp_path / "wild.tflite"
    wild.write_bytes(b"\xf0\xff\xff\xff" + read_model(INT8).flatbuffer[4:])
    for ask in (refuse_crasher, delegates):
        with pytest.raises(ModelError, match=r"crashes .* \(signal 11\)"):
            ask(wild, find_backend())


def test_every_installed_runtime_runs_a_model() -> None:
    """TensorFlow's, too: in a process of its own, as the probe is one."""
    for backend in BACKENDS.values():
        if backend.installed:
            assert delegates(FLOAT32, backend) >= 0
