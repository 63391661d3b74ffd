"""Artifacts that several tests read: made once through the real commands, then left as they are."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Shared cores make single examples slow now and then: that is no failure.
settings.register_profile("toolkit", deadline=None)
settings.load_profile("toolkit")

# What started the tests may ignore these (nohup, a background job), and the commands under test
# would inherit it: a test that sends one would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# As the commands do. Without, on old processors the first test that imports TensorFlow would decide
# by whose kernels a worker trains its nets.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

Once = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session", autouse=True)
def _empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no test depend on what this user has fetched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Return `once(name, make)`: the first worker makes a folder, the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base

    def make_once(name: str, make: Callable[[Path], None]) -> Path:
        folder, done = shared / "once" / name, shared / "once" / f"{name}.done"
        folder.parent.mkdir(exist_ok=True)
        with folder.with_name(f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                done.touch()
        return folder

    return make_once


@pytest.fixture(scope="session")
def drawn(once: Once) -> Path:
    """Return train/ and test/ folders of two classes that a few epochs can tell apart.

    60 and 14 drawn faces; those of the second class are photographic negatives.
    """

    def draw(folder: Path) -> None:
        import cv2
        import numpy as np

        from emo_train.synthetic import write_dataset

        write_dataset(folder, per_class=30, identities=6, expressions=("happy", "sad"))
        for path in folder.rglob("sad/*.png"):
            cv2.imwrite(str(path), 255 - np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)))

    return once("drawn", draw)


@pytest.fixture(scope="session")
def run_folder(once: Once, drawn: Path) -> Path:
    """Return a finished run of `drawn`; copy it before changing it."""

    def train(folder: Path) -> None:
        from running import assert_done, run

        options = ("--architecture", "plain-micro", "--epochs", "12", "--batch-size", "8")
        assert_done(run("emo-train", "--data", drawn, "--out", folder, *options))

    return once("run", train)


@pytest.fixture(scope="session")
def models(once: Once, run_folder: Path) -> dict[str, Path]:
    """Return `run_folder` converted: quantization -> model file, each with its report beside it."""

    def convert(folder: Path) -> None:
        from running import assert_done, run

        shutil.copytree(run_folder, folder)
        assert_done(run("emo-convert", folder, "--quantize", "all"))

    names = {"none": "float32", **{name: name for name in ("fp16", "dynamic", "int8", "int16x8")}}
    folder = once("models", convert)
    return {name: folder / f"models-{suffix}.tflite" for name, suffix in names.items()}
