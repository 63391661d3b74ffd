"""The configuration file: written by `init`, read by a run, in the order of its options."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.drawn import INT8, save, scene
from emo_edge.cli import app
from running import Outcome, assert_done, assert_refused, call

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a configuration on a machine without one."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("emo_edge.config.OF_THE_MACHINE", tmp_path / "etc" / "edge.toml")
    return tmp_path / "home" / "emo-toolkit" / "edge.toml"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return save(tmp_path / "happy.png", scene("happy")[0])


def wrote(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def edge(*words: str | Path) -> Outcome:
    return call(app, *words)


def documented_options() -> set[str]:
    """Return the long options that --help shows, without those that are no part of a run."""
    shown = set(re.findall(r"--([a-z][a-z-]+)", edge("--help").stdout.split("Options:")[1]))
    every = {
        flag[2:] for p in typer.main.get_command(app).params for flag in p.opts if "--" in flag
    }
    assert every - {"help"} <= shown
    return every - {"help", "version", "config"}


def test_every_option_is_in_the_file_and_none_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "edge.toml"
    assert_done(edge("init", path))
    keys = re.findall(r"^#([a-z][a-z-]*) = ", path.read_text(), re.MULTILINE)
    assert set(keys) == documented_options()
    assert len(keys) == len(set(keys))


def test_the_file_as_written_and_with_every_line_taken_in_changes_nothing(
    tmp_path: Path, picture: Path
) -> None:
    path = tmp_path / "edge.toml"
    assert_done(edge("init", path))
    assert tomllib.loads(path.read_text()) == {}
    plain = edge("--source", picture, "--jsonl", "-")
    everything = wrote(path, re.sub(r"^#([a-z-]+ = )", r"\1", path.read_text(), flags=re.MULTILINE))
    assert len(tomllib.loads(everything.read_text())) == len(documented_options())
    same = edge("--config", everything, "--source", picture, "--jsonl", "-")
    assert_done(same)
    assert strip_age(same.stdout) == strip_age(plain.stdout) != ""


def strip_age(line: str) -> str:
    return re.sub(r'"age": [\d.]+', "", line)


def test_init_never_overwrites(home: Path) -> None:
    assert_done(edge("init"))
    wrote(home, "# mine\n")
    assert_refused(edge("init"), 2, "is there already")
    assert home.read_text() == "# mine\n"


def test_what_may_come_to_hold_a_token_is_its_owners_alone_but_a_service_reads_the_machines(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = tmp_path / "etc" / "edge.toml"
    monkeypatch.setattr("emo_edge.cli.init.OF_THE_MACHINE", machine)
    umask = os.umask(0o022)
    try:
        for words in ((), (tmp_path / "other.toml",), (machine,)):
            assert_done(edge("init", *words))
    finally:
        os.umask(umask)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (home, tmp_path / "other.toml", machine)]
    assert modes == [0o600, 0o600, 0o644]


def test_a_run_takes_what_it_is_not_told_from_the_file(
    tmp_path: Path, picture: Path, home: Path
) -> None:
    text = f'source = "{picture}"\nmodel = "{INT8}"\njsonl = "{tmp_path / "r.jsonl"}"\n'
    wrote(home, f"\ufeff{text}")  # as Windows writes it
    done = edge()
    assert_done(done)
    assert f"configuration: {home}" in done.stderr
    assert '"angry"' in (tmp_path / "r.jsonl").read_text()
    other = save(tmp_path / "sad.png", scene("sad")[0])
    assert_done(edge("--source", other, "--jsonl", tmp_path / "other.jsonl"))
    assert "sad.png" in (tmp_path / "other.jsonl").read_text()


def test_the_named_file_comes_before_the_users_and_that_before_the_machines(
    tmp_path: Path, picture: Path, home: Path
) -> None:
    machine = wrote(tmp_path / "etc" / "edge.toml", f'source = "{picture}"\n')
    assert f"configuration: {machine}" in edge().stderr
    wrote(home, f'source = "{picture}"\n')
    assert f"configuration: {home}" in edge().stderr
    named = wrote(tmp_path / "named.toml", f'source = "{picture}"\n')
    assert f"configuration: {named}" in edge("--config", named).stderr
    assert_refused(edge("--config", "/dev/null"), 2, "give one of --camera")


def test_a_source_on_the_command_line_replaces_the_files_camera(picture: Path, home: Path) -> None:
    wrote(home, "camera = 99\n")
    assert_refused(edge(), 5, "/dev/video99")
    assert_done(edge("--source", picture))
    wrote(home, f'camera = 99\nsource = "{picture}"\n')
    assert_refused(edge(), 2, "give one of")


TOKEN = "a token of sixteen and more"
BESIDE: dict[str, tuple[str, list[str]]] = {
    "a token without a page": (f'serve-token = "{TOKEN}"', []),
    "an open page": ("serve-without-token = true", []),
    "a size without a camera": ('camera = 99\nsize = "800x600"\nfps = 5', []),
    "labels of another model": (
        'model = "plain.tflite"\nlabels = "l.txt"\ninput-range = [-1, 1]',
        ["--model", str(INT8)],
    ),
    "a token for a page without": (
        f'serve-token = "{TOKEN}"',
        ["--serve", "0", "--serve-without-token"],
    ),
    "a page without for a token": (
        "serve-without-token = true",
        ["--serve", "0", "--serve-token", TOKEN],
    ),
}


@pytest.mark.parametrize("case", BESIDE)
def test_what_the_file_says_beside_a_replaced_option_is_left_aside(
    picture: Path, home: Path, case: str
) -> None:
    text, words = BESIDE[case]
    wrote(home, text)
    assert_done(edge("--source", picture, "--detector", "none", *words))


def test_a_password_does_not_go_to_another_broker(picture: Path, home: Path) -> None:
    wrote(home, 'mqtt = "mqtts://me@there"\nmqtt-password-file = "gone.txt"\nmqtt-ca = "gone.pem"')
    words = ["--source", picture, "--detector", "none"]
    assert_refused(edge(*words), 2, "gone.")
    nobody = "mqtt://127.0.0.1:1"
    assert_refused(edge(*words, "--mqtt", nobody), 8, "127.0.0.1:1: Connection refused")
    assert_refused(edge(*words, "--mqtt", nobody, "--mqtt-password-file", "gone.txt"), 2, "gone")


@pytest.mark.parametrize(
    "words", [["--serve-token", TOKEN], ["--size", "800x600"], ["--labels", "l.txt"]]
)
def test_the_same_on_the_command_line_is_refused(picture: Path, words: list[str]) -> None:
    assert_refused(edge("--source", picture, "--model", INT8, *words), 2)


REFUSED: dict[str, tuple[str, str]] = {
    "unknown": ("colour = 1", "no option 'colour'; see: emo-edge --help"),
    "nearly": ("thread = 2", "did you mean 'threads'?"),
    "underscore": ("max_fps = 2", "did you mean 'max-fps'?"),
    "its own name": ('config = "x"', "no option 'config'"),
    "out of range": ("threads = 0", "threads: 0 is not in the range"),
    "fraction": ("threads = 1.5", "threads: '1.5' is not a valid"),
    "text": ('threads = "two"', "threads: 'two' is not a valid"),
    "table": ("[threads]\nn = 1", "threads takes a single value"),
    "list": ("model = ['a']", "model takes a single value"),
    "no list": ("input-range = 1", "input-range takes a list"),
    "short list": ("input-range = [1]", "input-range: "),
    "switch": ("jsonl = true", "jsonl takes a value"),
    "no TOML": ("model = \n", "is not TOML"),
    "twice": ("threads = 1\nthreads = 2", "is not TOML"),
    "not text": ("\udcff", "is not TOML"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, case: str) -> None:
    text, words = REFUSED[case]
    path = tmp_path / "edge.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert_refused(edge("--config", path, "--camera", "99"), 2, str(path), words)


@pytest.mark.parametrize("make", [Path.mkdir, Path.exists], ids=["folder", "missing"])
def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "edge.toml")
    assert_refused(edge("--config", tmp_path / "edge.toml"), 2, "cannot read")


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_refusal_or_a_run(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "wild.toml"
    path.write_bytes(content)
    done = edge("--config", path, "--camera", "99")
    assert done.returncode in (2, 5)
    assert done.stderr.count("error: ") == 1


def test_an_address_that_is_none_is_no_bug_of_doctor(home: Path) -> None:
    wrote(home, 'mqtt = "mqtt://me:hunter2@[::1"\n').chmod(0o644)
    done = edge("doctor", "--model", INT8)
    assert "edge.toml" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


def test_a_subcommand_takes_the_options_that_it_shares_with_a_run(
    tmp_path: Path, home: Path
) -> None:
    wrote(home, f'model = "{tmp_path / "gone.tflite"}"\ndetector = "haar"\n')
    assert "gone.tflite" in edge("doctor").stdout
    assert "gone.tflite" not in edge("doctor", "--model", INT8).stdout
    wrote(home, "nonsense")
    assert_refused(edge("tune"), 2, "is not TOML")


def test_a_file_that_cannot_be_used_is_a_finding_of_doctor(tmp_path: Path, home: Path) -> None:
    wrote(home, "nonsense")
    done = edge("doctor", "--json")
    assert_refused(done, 9, "problem(s) found")
    findings = {found["subject"]: found for found in map(json.loads, done.stdout.splitlines())}
    assert findings["configuration"]["verdict"] == "problem"
    assert f"{home} is not TOML" in findings["configuration"]["detail"]
    named = wrote(tmp_path / "named.toml", "colour = 1\n")
    assert f"{named}: there is no option 'colour'" in edge("--config", named, "doctor").stdout


@pytest.mark.parametrize("words", [["models"], ["--help"], ["doctor", "--help"], ["--version"]])
def test_what_needs_no_option_of_a_run_does_without_the_file(home: Path, words: list[str]) -> None:
    wrote(home, "nonsense")
    done = edge(*words)
    assert_done(done)
    assert done.stderr == ""
