"""The service: its unit judged by systemd's own tools, its steps by a systemctl that takes notes.

systemd does not run where tests run; what it does with the unit is seen on a booted system.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.drawn import INT8
from emo_edge.board import service, unit
from emo_edge.cli import app
from running import Outcome, assert_done, assert_refused, call

HERE = ("--", "--camera", "0")
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)


@pytest.fixture(autouse=True)
def machine_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the configuration of this machine would be."""
    path = tmp_path / "etc" / "edge.toml"
    path.parent.mkdir()
    for place in ("emo_edge.config", "emo_edge.cli.service"):
        monkeypatch.setattr(f"{place}.OF_THE_MACHINE", path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return path


def dry_run(*words: object, run: tuple[object, ...] = HERE) -> Outcome:
    return call(app, "service", "install", "--dry-run", *map(str, words), *map(str, run))


def lines(outcome: Outcome) -> list[str]:
    assert_done(outcome)
    return outcome.stdout.splitlines()


def command_of(outcome: Outcome) -> str:
    (line,) = [line for line in lines(outcome) if line.startswith("ExecStart=")]
    return line


def test_the_unit_is_shown_without_root_or_systemd() -> None:
    shown = lines(dry_run())
    assert "Type=notify" in shown
    assert f"WatchdogSec={unit.WATCHDOG_SECONDS}" in shown
    assert "Restart=always" in shown
    assert "NoNewPrivileges=yes" in shown
    assert command_of(dry_run()).endswith("/emo-edge --camera 0")


def test_a_service_of_its_own_user_keeps_detector_and_output_in_folders_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "HOMES", (Path("/nowhere"), Path("/nowhere")))
    shown = lines(dry_run())
    assert "DynamicUser=yes" in shown
    assert "ProtectHome=yes" in shown
    assert "StateDirectory=emo-edge" in shown
    assert any("XDG_CACHE_HOME=%C/emo-edge" in line for line in shown)


def test_a_model_in_a_home_is_read_by_the_owner_of_that_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "HOMES", (tmp_path, Path("/nowhere")))
    monkeypatch.setattr(Path, "owner", lambda path: "daemon" if path.name == "ada" else "root")
    model = tmp_path / "ada" / "models" / "face.tflite"
    model.parent.mkdir(parents=True)
    shutil.copyfile(INT8, model)
    run = ("--", "--camera", "0", "--model", model)
    shown = lines(dry_run(run=run))
    assert "User=daemon" in shown
    assert "ProtectHome=read-only" in shown
    assert not any("XDG_CACHE_HOME" in line for line in shown)
    assert "User=nobody" in lines(dry_run("--user", "nobody", run=run))


def test_a_user_with_a_home_may_read_it() -> None:
    shown = lines(dry_run("--user", "nobody"))
    assert "ProtectHome=read-only" in shown


def test_what_only_root_could_read_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "HOMES", (Path("/nowhere"), tmp_path))
    model = tmp_path / "face.tflite"
    shutil.copyfile(INT8, model)
    run = ("--", "--camera", "0", "--model", model)
    assert_refused(dry_run(run=run), 2, "root's home", "/opt/emo-toolkit")
    assert "User=root" in lines(dry_run("--user", "root", run=run))


def test_paths_of_the_run_are_made_whole_because_a_service_starts_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(INT8, tmp_path / "face.tflite")
    monkeypatch.chdir(tmp_path)
    whole = f"{tmp_path}/face.tflite"
    options = ["--jsonl", "readings.jsonl", "--camera", "0"]
    for given_as in (["--model", "face.tflite"], ["--model=face.tflite"], ["-m", "face.tflite"]):
        said = command_of(dry_run("--user", "root", run=("--", *given_as, *options)))
        assert whole in said
        assert "--jsonl readings.jsonl" in said  # into the service's own folder


def test_a_glob_is_made_whole_whatever_it_finds_now(
    tmp_path: Path, machine_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--user", "root")
    said = command_of(dry_run(*options, run=("--", "--source", "faces/*.png")))
    assert f"--source {tmp_path}/faces/*.png" in said
    stream = "rtsp://camera/stream?channel=1"
    assert f"--source {stream}" in command_of(dry_run(*options, run=("--", "--source", stream)))
    machine_file.write_text('source = "faces/*.png"\n')
    assert_refused(dry_run(*options, run=()), 2, "--source faces/*.png", "give the whole path")


def test_a_path_that_cannot_be_made_whole_is_refused(
    tmp_path: Path, machine_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(INT8, tmp_path / "face.tflite")
    monkeypatch.chdir(tmp_path)
    words = ("--model face.tflite", "give the whole path")
    glued = ("--", "--camera", "0", "-mface.tflite")
    assert_refused(dry_run("--user", "root", run=glued), 2, *words)
    machine_file.write_text('model = "face.tflite"\n')
    assert_refused(dry_run("--user", "root"), 2, *words)
    machine_file.write_text(f'model = "{tmp_path}/face.tflite"\n')
    assert_done(dry_run("--user", "root"))


def test_a_shipped_net_keeps_its_name_beside_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base").mkdir()
    monkeypatch.chdir(tmp_path)
    said = command_of(dry_run("--user", "root", run=("--", "--camera", "0", "--model", "base")))
    assert "--model base" in said


def test_the_source_may_stand_in_the_configuration_of_the_machine_or_a_named_one(
    tmp_path: Path, machine_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_refused(dry_run(run=()), 2, "give the run a source", str(machine_file))
    machine_file.write_text('camera = "0"\n')
    assert command_of(dry_run("--user", "root", run=())).endswith("/emo-edge")
    (tmp_path / "mine.toml").write_text('camera = "0"\nbackends = "x"\n')
    monkeypatch.chdir(tmp_path)
    named = ("--", "--config", "mine.toml")
    assert_refused(dry_run(run=named), 2, "no option 'backends'")
    (tmp_path / "mine.toml").write_text('camera = "0"\n')
    assert f"--config {tmp_path}/mine.toml" in command_of(dry_run("--user", "root", run=named))


@pytest.mark.parametrize(
    ("words", "run", "said"),
    [
        ((), ("--", "--jsonl", "x.jsonl"), "give the run a source"),
        (("--user", "nobody-of-that-name"), HERE, "no user"),
        (("--writable", "/no/such/folder"), HERE, "make it first"),
    ],
)
def test_a_run_that_could_not_start_is_refused_now(
    words: tuple[str, ...], run: tuple[str, ...], said: str
) -> None:
    assert_refused(dry_run(*words, run=run), 2, said)


def test_a_file_that_its_own_user_may_not_read_is_refused_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "HOMES", (Path("/nowhere"), Path("/nowhere")))
    private = tmp_path / "mine.toml"
    private.write_text('camera = "0"\n')
    private.chmod(0o600)
    run = ("--", "--config", private)
    assert_refused(dry_run(run=run), 2, f"cannot read {private}", "--user")
    assert "User=root" in lines(dry_run("--user", "root", run=run))
    private.chmod(0o644)
    assert "DynamicUser=yes" in lines(dry_run(run=run))


@pytest.mark.parametrize("wrong", ["--camra", "doctor"])
def test_an_option_that_the_run_does_not_have_and_a_subcommand_are_refused(wrong: str) -> None:
    outcome = dry_run(run=("--", "--camera", "0", wrong))
    assert outcome.returncode == 2
    assert wrong in outcome.stderr


def test_growing_pauses_and_executable_memory_follow_what_the_board_can() -> None:
    def text(machine: str, systemd: int) -> str:
        return unit.unit_text(["/opt/emo-edge"], machine=machine, systemd=systemd)

    assert "RestartMaxDelaySec=300" in text("aarch64", 257)
    assert "RestartMaxDelaySec" not in text("aarch64", 252)
    assert "MemoryDenyWriteExecute=yes" in text("armv7l", 252)
    assert "MemoryDenyWriteExecute" not in text("x86_64", 252)


@needs_systemd
@pytest.mark.parametrize("machine", ["aarch64", "x86_64"])
def test_systemd_accepts_the_unit_and_calls_it_safe(tmp_path: Path, machine: str) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    path = tmp_path / "emo-edge.service"
    text = unit.unit_text(
        ["/bin/true", "--jsonl", 'a "b" $c %d ;\\.jsonl', ""],
        writable=[folder],
        machine=machine,
        systemd=0,
    )
    path.write_text(text, encoding="utf-8")
    verified = analyze("verify", "--man=no", str(path))
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    judged = analyze("security", "--offline=true", "--threshold=20", str(path))
    assert judged.returncode == 0, judged.stdout  # exposure 2.0 of 10 at most


def analyze(*words: str) -> Outcome:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


def read_back(word: str) -> str:
    """The reverse of the quoting, by the rules of systemd.syntax(7)."""
    if word.startswith('"'):
        word = word[1:-1]
    out, rest = "", iter(word)
    for letter in rest:
        if letter == "\\":
            out += {"n": "\n"}.get(after := next(rest), after)
        elif letter == "%":
            assert next(rest) == "%"
            out += "%"
        else:
            out += letter
    return out


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_a_quoted_word_is_one_line_and_reads_back(word: str) -> None:
    quoted = unit.quoted(word)
    assert "\n" not in quoted
    assert quoted.startswith('"') or not set(quoted) & set(" \t;'\"\\%")
    assert read_back(quoted) == word


# With a systemctl that takes notes ---------------------------------------------------------------


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that systemd runs, and a root user; returns the folder of its notes."""
    (tmp_path / "run").mkdir()
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/notes\ncat {tmp_path}/answer 2>/dev/null\n'
        f"[ ! -e {tmp_path}/refusal ] || {{ cat {tmp_path}/refusal >&2; exit 1; }}\n"
    )
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(service, "RUNNING", tmp_path / "run")
    monkeypatch.setattr(service, "UNIT_FILE", tmp_path / "emo-edge.service")
    monkeypatch.setattr(service, "HOMES", (Path("/nowhere"), Path("/nowhere")))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tmp_path


def notes(board: Path) -> list[str]:
    said = (board / "notes").read_text().splitlines()
    (board / "notes").unlink()
    return [line for line in said if line != "--version"]


def test_install_writes_enables_and_starts_and_remove_leaves_nothing(board: Path) -> None:
    assert_done(call(app, "service", "install", *HERE))
    assert notes(board) == [
        "daemon-reload",
        "enable emo-edge.service",
        "reset-failed emo-edge.service",
        "restart --no-block emo-edge.service",
    ]
    assert (board / "emo-edge.service").read_text() == dry_run().stdout
    assert_done(call(app, "service", "remove"))
    assert notes(board)[:1] == ["disable --now emo-edge.service"]
    assert not (board / "emo-edge.service").exists()
    again = call(app, "service", "remove")
    assert_done(again)
    assert "no service was installed" in again.stderr


def test_status_tells_what_systemd_knows_and_whether_it_is_well(board: Path) -> None:
    assert_refused(call(app, "service", "status"), 9, "not installed")
    (board / "emo-edge.service").touch()
    (board / "answer").write_text("ActiveState=active\nStatusText=0 delivering, 12 C\nNRestarts=2")
    well = call(app, "service", "status")
    assert_done(well)
    assert "0 delivering, 12 C" in well.stdout
    (board / "answer").write_text("ActiveState=failed\nResult=watchdog\n")
    assert_refused(call(app, "service", "status"), 9, "failed (watchdog)", "journalctl -u emo-edge")


def test_a_systemd_that_refuses_is_told_in_its_own_words(board: Path) -> None:
    (board / "refusal").write_text("Failed to enable unit: Read-only file system\n")
    assert_refused(call(app, "service", "install", *HERE), 8, "Read-only file system")


def test_without_root_the_command_with_sudo_is_given(
    board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert_refused(call(app, "service", "install", *HERE), 2, "sudo ", "emo-edge service install")
    assert not (board / "emo-edge.service").exists()


def test_without_systemd_the_service_says_so(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "RUNNING", board / "nowhere")
    for words in (("install", *HERE), ("status",), ("remove",)):
        assert_refused(call(app, "service", *words), 2, "systemd does not run this machine")
