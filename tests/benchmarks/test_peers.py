"""The peers' scripts, without the peers: those need environments of their own and the internet."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from emo_bench.conditions import conditions
from emo_bench.results import Outcome
from running import ASSETS, assert_refused, draw_faces

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "peers"
MODEL = ASSETS / "drawn-int8.tflite"
LABELS = "Anger,Happiness,Neutral,Sadness,surprised"


def script(name: str) -> ModuleType:
    """Import a script under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"peers_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def measure(what: str, out: Path, *subject: object) -> dict[str, Any]:
    words = (what, out, "tflite", MODEL, LABELS, "0", "255", "--", *subject)
    command = [sys.executable, SCRIPTS / "measure.py", *words]
    text = [str(word) for word in command]
    done = subprocess.run(text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(out.read_text()))


def test_a_foreign_model_is_measured_from_the_start_of_its_process(tmp_path: Path) -> None:
    (picture,) = draw_faces(tmp_path / "faces", 1)
    found = measure("start", tmp_path / "out.json", picture)
    assert found["cpu_seconds"] > 0
    assert found["peak_rss_mib"] >= found["rss_mib"] > 10


def test_every_face_is_answered_by_the_names_of_fer2013(tmp_path: Path) -> None:
    faces = tmp_path / "faces.npy"
    np.save(faces, np.random.default_rng(0).integers(0, 256, (30, 48, 48), np.uint8))
    assert measure("score", tmp_path / "out.json", faces)["faces"] == 30
    answers = np.load(tmp_path / "out.npz")
    assert answers["labels"].tolist() == ["angry", "happy", "neutral", "sad", "surprise"]
    assert answers["probabilities"].shape == (30, 5)


def test_the_command_says_what_it_wants() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPTS / "run.py", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--cache" in done.stdout


def test_faces_are_scored_by_both_kinds_of_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    faces = [" ".join(map(str, rng.integers(0, 256, 48 * 48))) for _ in range(4)]
    # Rows: trained on; its copy; happy by both; neutral by FER, contempt by FER+.
    rows = [(3, 0, "Training"), (3, 0, "PublicTest"), (3, 1, "PublicTest"), (6, 2, "PublicTest")]
    (tmp_path / "fer2013.csv").write_text(
        "emotion,pixels,Usage\n"
        + "".join(f"{emotion},{faces[face]},{usage}\n" for emotion, face, usage in rows)
    )
    names = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
    happy, contempt = "0,10,0,0,0,0,0,0,0,0", "1,0,0,0,0,0,0,9,0,0"
    (tmp_path / "fer2013new.csv").write_text(
        ",".join((*names, "contempt", "unknown", "NF"))
        + "".join(f"\n{votes}" for votes in (happy, happy, happy, contempt))
    )
    protocol = script("protocol").load_protocol(tmp_path)
    assert len(protocol.pixels) == 2  # the copy is left out
    labels = ("contempt", "happy", "angry", "disgust", "fear", "sad", "surprise", "neutral")
    answers = np.full((2, 8), 0.01, np.float32)
    answers[:, 0], answers[:, 1] = 0.6, 0.3  # contempt, which not everyone knows, then happy
    scores = protocol.score(answers, labels)
    assert (scores["fer"]["images"], scores["fer"]["top1"]) == (2, 0.5)
    assert (scores["ferplus"]["images"], scores["ferplus"]["top1"]) == (1, 1.0)


def outcome() -> Outcome:
    state = conditions()

    def peer(name: str, ms: float, top1: float, **more: Any) -> dict[str, Any]:
        return {
            "model": name,
            "installed_bytes": 2e8,
            "start": {"cpu_seconds": 1.0, "wall_seconds": 2.0, "peak_rss_mib": 50.0},
            "videos": [],
            "cpu_ms_per_face": ms,
            "accuracy": {"fer": {"top1": top1}, "ferplus": {"top1": top1}},
            **more,
        }

    failures = [{"subject": "Lost", "error": "no weights", "exit_code": 9}]
    results = [peer("Ours", 2.0, 0.5), peer("Theirs", 50.0, 0.625), peer("Third", 1.0, 0.25)]
    return Outcome("peers", "run.py", state, state, ["busy"], results, failures)


@pytest.mark.parametrize(
    "line",
    [
        "| Ours | 50.0% | 50.0% | 2.00 |",
        "| Theirs | **62.5%** | **62.5%** | 50.00 |",
        "| Third | 25.0% | 25.0% | **1.00** |",
        "| Theirs | +12.5 | +12.5 | 25x |",
        "| Third | -25.0 | -25.0 | 0.50x |",
        "Not measured: Lost: no weights.",
        "Beware: busy.",
    ],
)
def test_the_table_says_who_wins_and_who_is_missing(line: str) -> None:
    assert line in script("report").markdown(outcome())


def test_a_table_of_nobody_says_who_is_missing() -> None:
    nobody = dataclasses.replace(outcome(), results=[])
    assert "Not measured: Lost: no weights." in script("report").markdown(nobody)


def test_a_name_of_no_peer_is_refused(tmp_path: Path) -> None:
    options = ("--cache", tmp_path, "--video", "v.mp4", "--only", "zzz")
    words = [sys.executable, str(SCRIPTS / "run.py"), *map(str, options)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert_refused(done, 2, "no peer's name begins so", "emo-toolkit base, haar")
