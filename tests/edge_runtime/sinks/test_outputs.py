"""Outputs through the command: all at once, none of them or nothing, and one that fails."""

from __future__ import annotations

import csv
import resource
import shlex
import subprocess
from pathlib import Path

import cv2
import pytest

from edge_runtime.drawn import INT8, save, scene
from emo_edge.cli import app
from emo_edge.contract import read_image
from running import assert_refused, call, command_line


def outputs_in(folder: Path) -> dict[str, Path]:
    return {
        "--jsonl": folder / "r.jsonl",
        "--csv": folder / "r.csv",
        "--record": folder / "seen.mp4",
        "--snapshot": folder / "newest.png",
    }


def words(video: Path, outputs: dict[str, Path]) -> list[str]:
    chosen = [str(word) for pair in outputs.items() for word in pair]
    return ["--model", str(INT8), "--source", str(video), *chosen]


def test_all_outputs_are_written_at_once(tmp_path: Path, video: Path) -> None:
    outputs = outputs_in(tmp_path / "out")
    done = call(app, *words(video, outputs))
    assert done.returncode == 0, done.stderr
    lines = outputs["--jsonl"].read_text().splitlines()
    rows = list(csv.DictReader(outputs["--csv"].read_text().splitlines()))
    assert len(lines) == len(rows) > 20
    assert list(rows[0])[-5:] == ["p_angry", "p_happy", "p_neutral", "p_sad", "p_surprised"]
    assert cv2.VideoCapture(str(outputs["--record"])).get(cv2.CAP_PROP_FRAME_COUNT) == 36
    assert read_image(outputs["--snapshot"]).shape == (240, 320, 3)
    assert {entry.name for entry in (tmp_path / "out").iterdir()} == {
        path.name for path in outputs.values()
    }


@pytest.mark.parametrize("refused", ["--jsonl", "--csv", "--record", "--snapshot"])
def test_an_output_that_cannot_be_written_leaves_nothing_of_the_others(
    tmp_path: Path, video: Path, refused: str
) -> None:
    outputs = outputs_in(tmp_path / "out")
    (tmp_path / "file").touch()
    outputs[refused] = tmp_path / "file" / outputs[refused].name
    assert_refused(call(app, *words(video, outputs)), 8, "cannot write", "file")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_two_outputs_cannot_share_a_place(tmp_path: Path, video: Path) -> None:
    shared = {"--jsonl": tmp_path / "x", "--csv": tmp_path / "." / "x"}
    assert_refused(call(app, *words(video, shared)), 2, "--jsonl and --csv want the same")
    both = call(app, *words(video, {}), "--jsonl", "-", "--csv", "-")
    assert_refused(both, 2, "want the same place")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--jsonl", "--csv", "--record", "--snapshot"])
def test_what_is_read_is_not_written_over(tmp_path: Path, video: Path, option: str) -> None:
    suffix = {"--record": ".mp4", "--snapshot": ".png"}.get(option, ".log")
    source = tmp_path / f"original{suffix}"
    content = video.read_bytes()
    if option == "--snapshot":
        content = cv2.imencode(".png", scene("happy")[0])[1].tobytes()
    source.write_bytes(content)
    (tmp_path / f"link{suffix}").symlink_to(source)
    for target in (source, tmp_path / f"link{suffix}"):
        done = call(app, *words(source, {option: target}))
        assert_refused(done, 2, option, "is among what is read")
    assert source.read_bytes() == content


def test_a_snapshot_does_not_become_a_picture_of_the_folder_that_is_read(tmp_path: Path) -> None:
    save(tmp_path / "in" / "happy.png", scene("happy")[0])
    for source, target in (
        ("in", "in/newest.png"),
        ("in", "in/sub/a.jpg"),
        ("*/*.png", "in/happy.png"),
    ):
        done = call(app, *words(tmp_path / source, {"--snapshot": tmp_path / target}))
        assert_refused(done, 2, "is among what is read")
    done = call(app, *words(tmp_path / "in", {"--jsonl": tmp_path / "in" / "r.jsonl"}))
    assert done.returncode == 0, done.stderr  # a log is no picture


def test_an_output_without_room_is_named_once_and_the_others_go_on(
    tmp_path: Path, video: Path
) -> None:
    outputs = {"--csv": tmp_path / "r.csv", "--jsonl": tmp_path / "r.jsonl"}
    done = subprocess.run(
        command_line("emo-edge", *words(video, outputs)),
        capture_output=True,
        text=True,
        check=False,
        # 30 rows of CSV need less, 30 of JSON more.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)),
    )
    assert done.returncode == 8
    assert done.stderr.count("output jsonl is failing: No space left on device") == 1
    assert done.stderr.splitlines()[-1].startswith("error: output jsonl: ")
    assert len(outputs["--csv"].read_text().splitlines()) > 25
    assert outputs["--jsonl"].read_text().endswith("}\n")


def test_a_stdout_without_room_does_not_stop_the_others(tmp_path: Path, video: Path) -> None:
    outputs = {"--csv": tmp_path / "r.csv"}
    with Path("/dev/full").open("w") as full:
        command = command_line("emo-edge", *words(video, outputs))
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 8
    assert "output console is failing: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(outputs["--csv"].read_text().splitlines()) > 25


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_run_without_standard_streams_writes_its_files(
    tmp_path: Path, video: Path, closed: str
) -> None:
    outputs = {"--csv": tmp_path / "r.csv"}
    command = shlex.join(command_line("emo-edge", *words(video, outputs)))
    done = subprocess.run(["sh", "-c", f"{command} {closed}"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = outputs["--csv"].read_text().splitlines()
    assert {row.count(",") for row in rows} == {16}
    assert len(rows) > 25


def test_labels_that_a_picture_cannot_show_are_named(tmp_path: Path, video: Path) -> None:
    from emo_edge.modelfile import read_model

    plain, labels = tmp_path / "m.tflite", tmp_path / "labels.txt"
    plain.write_bytes(read_model(INT8).flatbuffer)
    labels.write_text("怒り\n笑顔\nneutral\nträurig\nsurprised\n", encoding="utf-8")
    options = ("--model", plain, "--labels", labels, "--source", video)
    done = call(app, *options, "--snapshot", tmp_path / "s.png")
    assert done.returncode == 0
    assert "怒り as 'label 1', 笑顔 as 'label 2', träurig as 'traurig'" in done.stderr
    assert "笑顔" in done.stdout
