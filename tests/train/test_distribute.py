from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from emo_train.cli import app
from running import assert_done, assert_refused, call, command_line

TINY = ("--architecture", "plain-micro", "--batch-size", "8", "--epochs", "2")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_worker(index: int, ports: list[int], *options: str | Path) -> subprocess.Popen[str]:
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
    return subprocess.Popen(
        command_line("emo-train", "--distribute", "multi-worker", *options),
        env={**os.environ, "TF_CONFIG": json.dumps(task)},
        stderr=subprocess.PIPE,
        text=True,
    )


def weights_said(stderr: str) -> str:
    found = re.search(r"weights, the same on every worker: ([0-9a-f]{64})", stderr)
    assert found, stderr
    return found[1]


def test_two_workers_end_with_the_same_weights_and_one_writes(tmp_path: Path, drawn: Path) -> None:
    ports, out = free_ports(2), tmp_path / "run"
    options = ("--data", drawn, "--out", out, *TINY)
    workers = [start_worker(index, ports, *options) for index in range(2)]
    said = [worker.communicate()[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert weights_said(said[0]) == weights_said(said[1])
    assert f"the chief writes {out}" in said[1]
    assert "top-1" in said[0]
    assert "top-1" not in said[1]
    history = (out / "history.csv").read_text().splitlines()
    assert len(history) == 1 + 2
    assert (out / "spec.json").exists()


def test_one_machine_trains_on_all_its_devices(tmp_path: Path, drawn: Path) -> None:
    out = tmp_path / "run"
    options = ("--data", drawn, "--out", out, *TINY, "--distribute", "mirrored")
    assert_done(call(app, *options))
    assert json.loads((out / "config.json").read_text())["distribute"] == "mirrored"


def test_losses_are_float32_whatever_the_layers_compute_in(tmp_path: Path, drawn: Path) -> None:
    mixed = ("--precision", "mixed_bfloat16", "--l2", "0.001", "--distribute", "mirrored")
    assert_done(call(app, "--data", drawn, "--out", tmp_path / "run", *TINY, *mixed))


@pytest.mark.parametrize("config", ["", "{", "{}", '{"cluster": {}, "task": {"type": "worker"}}'])
def test_several_workers_need_to_know_each_other(
    tmp_path: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    monkeypatch.setenv("TF_CONFIG", config)
    options = ("--data", drawn, "--out", tmp_path / "run", "--distribute", "multi-worker")
    assert_refused(call(app, *options), 2, "TF_CONFIG")
