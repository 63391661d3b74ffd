from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from emo_bench import results
from emo_edge.errors import DataError, ModelError


def failing() -> dict[str, Any]:
    raise ModelError("no model at all")


def test_an_outcome_survives_its_file(tmp_path: Path) -> None:
    jobs: list[results.Job] = [
        ("a", lambda: {"model": "a", "warnings": ["shaky"]}),
        ("b", failing),
        ("c", lambda: {"model": "c"}),
    ]
    outcome = results.measure_all("latency", jobs)
    path = tmp_path / "below" / "latency.json"
    results.write(path, outcome)
    back = results.read(path)
    assert json.dumps(back.to_json()) == json.dumps(outcome.to_json())
    assert [r["model"] for r in back.results] == ["a", "c"]
    assert back.failures == [{"subject": "b", "error": "no model at all", "exit_code": 4}]
    assert back.exit_code == 4
    assert "a: shaky" in list(back.all_warnings())


def test_a_file_of_several_is_taken_apart(tmp_path: Path) -> None:
    one = results.measure_all("latency", [("a", lambda: {"model": "a"})])
    several = results.measure_all(results.ALL, [("latency", one.to_json)])
    results.write(tmp_path / "all.json", several)
    (part,) = results.parts(results.read(tmp_path / "all.json"))
    assert part.kind == "latency"
    assert part.results == one.results
    assert results.parts(one) == [one]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "cannot read results"),
        ("[]", "not a result of emo-bench"),
        ('{"schema": true}', "not a result of emo-bench"),
        ('{"schema": 1}', "cannot read results"),
        ('{"schema": 99}', "newer"),
        ("[" * 100_000, "cannot read results"),
        ('{"schema": 1, "kind": ["latency"]}', "kind of the result"),
        ('{"schema": 1, "kind": NaN}', "NaN is no number"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(DataError, match=word):
        results.read(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        results.read(tmp_path / "none.json")


def interrupted() -> dict[str, Any]:
    raise KeyboardInterrupt


def test_an_interruption_keeps_what_there_is(tmp_path: Path) -> None:
    done = list[str]()
    jobs: list[results.Job] = [
        ("a", lambda: {"model": "a"}),
        ("b", failing),
        ("c", interrupted),
        ("d", lambda: {"model": done.append("d")}),
    ]
    path = tmp_path / "latency.json"
    assert results.measure_all("latency", jobs, path).exit_code == 130
    back = results.read(path)
    assert [r["model"] for r in back.results] == ["a"]
    assert [(f["subject"], f["exit_code"]) for f in back.failures] == [("b", 4), ("c", 130)]
    assert not done


def test_a_bug_keeps_what_there_is_and_its_traceback(tmp_path: Path) -> None:
    jobs: list[results.Job] = [("a", lambda: {"model": "a"}), ("b", lambda: {"model": 1 // 0})]
    path = tmp_path / "latency.json"
    with pytest.raises(ZeroDivisionError):
        results.measure_all("latency", jobs, path)
    back = results.read(path)
    assert [r["model"] for r in back.results] == ["a"]
    assert [(f["subject"], f["exit_code"]) for f in back.failures] == [("b", 1)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


JOBS: list[results.Job] = [("one", lambda: {}), ("two", failing), ("three" * 30, lambda: {})]


def test_a_terminal_shows_one_line_of_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    results.measure_all("latency", JOBS)
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue()))
    assert "error: no model at all" in [line.strip() for line in lines]
    for number, subject in enumerate(("one", "two", "threethree")):
        (drawn, *_) = [line for line in lines if line.startswith(f"latency: {subject}")]
        assert f" {number}/3 " in drawn
        assert len(drawn) == 80


def test_without_a_terminal_there_is_a_line_for_each_of_several(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results.measure_all("latency", JOBS)
    said = capsys.readouterr().err.splitlines()
    assert said[:3] == ["latency 1/3: one", "latency 2/3: two", "error: no model at all"]
    results.measure_all("latency", JOBS[:1])
    assert capsys.readouterr().err == ""
