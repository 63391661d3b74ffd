"""`emo-edge doctor`: findings, and an exit code that scripts can use."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_runtime.drawn import FLOAT32, INT8, flipped
from emo_edge import doctor as examination
from emo_edge.cli import app
from emo_edge.doctor import Finding, examine


def doctor(*options: object) -> Result:
    return CliRunner().invoke(app, ["doctor", *map(str, options)])


@pytest.mark.parametrize("model", [INT8, FLOAT32], ids=["int8", "float32"])
def test_a_healthy_machine_and_model_have_no_problem(model: Path) -> None:
    result = doctor("--model", model)
    assert result.exit_code == 0
    assert "problem" not in result.stdout
    assert f"{model.name} on " in result.stdout
    assert "8 golden vectors right" in result.stdout


def test_without_a_model_the_doctor_checks_the_shipped_one() -> None:
    result = doctor()
    assert result.exit_code == 0
    assert "small.tflite" in result.stdout
    assert "golden vectors right" in result.stdout


def test_the_findings_name_python_numpy_opencv_runtime_detector_and_cameras() -> None:
    subjects = [finding.subject for finding in examine(INT8)]
    assert subjects[:3] == ["python", "numpy", "opencv-python-headless"]
    assert subjects[3:7] == ["runtime", "detector", "cameras", "model"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(flipped(INT8.read_bytes(), 30_000), "checksum"), (b"\xff\xd8\xff\xe0 JFIF", "not a .tflite")],
    ids=["damaged", "jpeg"],
)
def test_a_model_with_a_problem_is_exit_code_9(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    result = doctor("--model", path)
    assert result.exit_code == 9
    assert reason in result.stdout
    assert "problem(s) found, see above" in result.stderr  # one for each runtime


def test_a_missing_runtime_is_a_problem_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "BACKENDS", {})
    assert Finding("problem", "runtime", "none; run: pip install emo-toolkit") in list(
        examine(INT8)
    )
