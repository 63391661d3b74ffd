"""`emo-edge` as its users meet it: outputs, refusals with their exit codes, Ctrl-C."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edge_runtime.drawn import INT8, LABELS, TIMELINE, flipped, labels_file, save, scene
from edge_runtime.streaming import Camera
from emo_edge import __version__
from emo_edge.cli import app
from emo_edge.contract import read_image
from emo_edge.modelfile import Golden, pack, read_model
from running import wait_until

EMO_EDGE = str(Path(sys.executable).with_name("emo-edge"))
PARTS = read_model(INT8)
FIELDS = (
    "source", "frame", "time", "track", "label", "confidence", "probabilities", "box", "age",
)  # fmt: skip
Options = list[object]


def edge(*options: object) -> Result:
    return CliRunner().invoke(app, [str(option) for option in options])


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def face_picture(folder: Path, expression: str = "happy") -> Path:
    return save(folder / f"{expression}.png", scene(expression)[0])


def model_with(path: Path, golden: Golden | None = None, **changes: Any) -> Path:
    assert PARTS.spec is not None
    path.write_bytes(pack(PARTS.flatbuffer, dataclasses.replace(PARTS.spec, **changes), golden))
    return path


def bytes_in(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# What it does ------------------------------------------------------------------------------------


def test_a_picture_is_read(tmp_path: Path) -> None:
    result = edge("--model", INT8, "--source", face_picture(tmp_path))
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{tmp_path / 'happy.png'}: happy ")
    assert "1 frame(s), 1 reading(s)" in result.stderr


def test_a_folder_is_read_picture_by_picture(tmp_path: Path) -> None:
    for expression in ("happy", "surprised"):
        face_picture(tmp_path, expression)
    save(tmp_path / "wall.png", np.full((200, 200, 3), 90, np.uint8))
    result = edge("--model", INT8, "--source", tmp_path)
    said = [line.split(": ")[1].split()[0] for line in result.stdout.splitlines()]
    assert (result.exit_code, said) == (0, ["happy", "surprised", "no"])


def test_face_crops_are_read_without_a_detector(tmp_path: Path) -> None:
    picture, (box,) = scene("surprised")
    x, y, side, _ = (round(v) for v in box[:4])
    crop = save(tmp_path / "crop.png", picture[y : y + side, x : x + side])
    result = edge("--model", INT8, "--source", crop, "--detector", "none", "--jsonl", "-")
    (record,) = records(result.stdout)
    assert (result.exit_code, record["label"]) == (0, "surprised")
    assert record["box"] == [0.0, 0.0, side, side]


def test_the_timeline_of_a_drawn_video_is_read_in_order(video: Path) -> None:
    result = edge("--model", INT8, "--source", video, "--jsonl", "-")
    assert result.exit_code == 0
    read = records(result.stdout)
    order = [label for label, _ in groupby(r["label"] for r in read if r["label"] in LABELS)]
    assert order == [expression for expression, _ in TIMELINE]
    assert {r["track"] for r in read} == {1}
    right, seen, begins = 0, 0, 0.0
    for expression, seconds in TIMELINE:
        # A change takes 0.4 s to happen and about as long to be believed.
        settled = [r for r in read if begins + 0.8 <= r["time"] < begins + seconds]
        seen += len(settled)
        right += sum(r["label"] == expression for r in settled)
        begins += seconds
    assert seen >= 9
    assert right >= 0.8 * seen


def test_the_console_timeline_names_the_same_changes(video: Path) -> None:
    lines = edge("--model", INT8, "--source", video).stdout.splitlines()
    said = [line.split()[4] for line in lines]
    assert [label for label in said if label in LABELS] == [name for name, _ in TIMELINE]


def test_json_on_stdout_is_pure_and_has_the_documented_fields(video: Path) -> None:
    done = subprocess.run(
        [EMO_EDGE, "--model", str(INT8), "--source", str(video), "--jsonl", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    read = records(done.stdout)
    assert len(read) > 20
    for record in read:
        assert tuple(record) == FIELDS
        assert record["source"] == str(video)
        assert tuple(record["probabilities"]) == LABELS
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert len(record["box"]) == 4
        assert record["age"] >= 0
    assert done.stderr.splitlines()[1:] == [f"{video}: 36 frame(s), {len(read)} reading(s)"]


def test_nothing_is_written_unless_asked_for(tmp_path: Path, video: Path) -> None:
    command = [EMO_EDGE, "--model", str(INT8), "--source", str(video)]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_plain_model_works_with_labels(tmp_path: Path) -> None:
    plain = bytes_in(tmp_path / "plain.tflite", PARTS.flatbuffer)
    labels = labels_file(tmp_path / "labels.txt")
    result = edge("--model", plain, "--labels", labels, "--source", face_picture(tmp_path))
    assert result.exit_code == 0
    assert ": happy " in result.stdout


def test_an_unreadable_picture_among_good_ones_is_skipped(tmp_path: Path) -> None:
    face_picture(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"junk")
    result = edge("--model", INT8, "--source", tmp_path)
    assert result.exit_code == 0
    assert "broken.jpg" in result.stderr
    assert "1 of 2 pictures" in result.stderr


# What it refuses ---------------------------------------------------------------------------------


def bad_golden() -> Golden:
    assert PARTS.golden is not None
    return Golden(PARTS.golden.pixels, np.roll(PARTS.golden.probabilities, 1, axis=1))


WHOLE = INT8.read_bytes()
MODELS: dict[str, tuple[Callable[[Path], Options], int, str]] = {
    "missing": (lambda d: [d / "gone.tflite"], 4, "No such file"),
    "jpeg": (
        lambda d: [save(d / "face.jpg", scene("sad")[0]).rename(d / "m.tflite")],
        4,
        "is not a .tflite model",
    ),
    "end cut off": (lambda d: [bytes_in(d / "m.tflite", WHOLE[:-200])], 4, "is damaged"),
    "half": (lambda d: [bytes_in(d / "m.tflite", WHOLE[:40_000])], 4, "is damaged"),
    "flipped byte": (
        lambda d: [bytes_in(d / "m.tflite", flipped(WHOLE, 33_333))],
        4,
        "checksum does not match",
    ),
    "wrong size": (
        lambda d: [model_with(d / "m.tflite", width=64)],
        4,
        "takes (1, 48, 48, 1) but its metadata says (1, 48, 64, 1)",
    ),
    "wrong labels": (
        lambda d: [model_with(d / "m.tflite", labels=LABELS[1:])],
        4,
        "gives (1, 5) but has 4 labels",
    ),
    "wrong answers": (
        lambda d: [model_with(d / "m.tflite", bad_golden())],
        4,
        "golden vectors of",
    ),
    "plain, no labels": (
        lambda d: [bytes_in(d / "m.tflite", PARTS.flatbuffer)],
        2,
        "give --labels FILE",
    ),
    "plain, few labels": (
        lambda d: [
            bytes_in(d / "m.tflite", PARTS.flatbuffer),
            "--labels",
            labels_file(d / "l.txt", LABELS[:3]),
        ],
        4,
        "has 3 labels",
    ),
    "plain, labels missing": (
        lambda d: [bytes_in(d / "m.tflite", PARTS.flatbuffer), "--labels", d / "gone.txt"],
        3,
        "cannot read labels",
    ),
    "labels given twice": (
        lambda d: [INT8, "--labels", labels_file(d / "l.txt")],
        2,
        "carries its own labels",
    ),
    "plain, one label": (
        lambda d: [
            bytes_in(d / "m.tflite", PARTS.flatbuffer),
            "--labels",
            labels_file(d / "l.txt", LABELS[:1]),
        ],
        2,
        "l.txt and --input-range: needs at least two labels",
    ),
    "plain, empty range": (
        lambda d: [
            bytes_in(d / "m.tflite", PARTS.flatbuffer),
            *("--labels", labels_file(d / "l.txt"), "--input-range", 1, -1),
        ],
        2,
        "--input-range: empty input range",
    ),
    "range given twice": (lambda _: [INT8, "--input-range", 0, 1], 2, "carries its own labels"),
}


def assert_refused(result: Result, code: int, words: str) -> None:
    """One line that begins with "error:", the documented code, no traceback, no result."""
    assert result.exit_code == code, (result.stderr, result.exception)
    assert words in result.stderr
    *_, last = result.stderr.splitlines()
    assert last.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("case", MODELS)
def test_a_model_that_cannot_be_used_is_refused(tmp_path: Path, case: str) -> None:
    options, code, words = MODELS[case]
    source = face_picture(tmp_path / "pictures")
    result = edge("--source", source, "--jsonl", "-", "--model", *options(tmp_path))
    assert_refused(result, code, words)


def test_a_plain_model_that_would_kill_the_runtime_is_refused(tmp_path: Path) -> None:
    wild = bytes_in(tmp_path / "m.tflite", b"\xf0\xff\xff\xff" + PARTS.flatbuffer[4:])
    options = ["--labels", labels_file(tmp_path / "l.txt"), "--source", face_picture(tmp_path)]
    command = [EMO_EDGE, "--model", wild, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "is damaged (an offset leads beyond the file)" in done.stderr


def unreadable(folder: Path) -> Path:
    for name in ("a.jpg", "b.png"):
        bytes_in(folder / name, b"junk")
    return folder


def blank_wall(folder: Path) -> Path:
    return save(folder / "wall.png", np.full((99, 99, 3), 90, np.uint8))


ONE_SOURCE = "give one of --camera X and --source X"
DETECTORS = "choose from auto, yunet, haar, none"
BACKENDS = "choose from auto, tflite_runtime, ai_edge_litert, tensorflow"
SOURCES: dict[str, tuple[Callable[[Path], Options], int, str]] = {
    "no camera": (lambda _: ["--camera", 99], 5, "no camera /dev/video99"),
    "no device": (lambda _: ["--source", "/dev/video99"], 5, "no camera /dev/video99"),
    "no file": (lambda d: ["--source", d / "gone.mp4"], 5, "no such file"),
    "empty folder": (lambda d: ["--source", d], 5, "holds no pictures"),
    "junk": (lambda d: ["--source", bytes_in(d / "x.mp4", b"junk")], 5, "neither a picture nor"),
    "all unreadable": (lambda d: ["--source", unreadable(d)], 5, "none of the 2 pictures"),
    "no face": (lambda d: ["--source", blank_wall(d)], 7, "no face found in"),
    "both": (lambda _: ["--source", "0", "--camera", 0], 2, ONE_SOURCE),
    "neither": (lambda _: [], 2, ONE_SOURCE),
    "detector": (lambda _: ["--camera", 0, "--detector", "yolo"], 2, DETECTORS),
    "backend": (lambda _: ["--camera", 0, "--backend", "onnx"], 2, BACKENDS),
    "endless log": (lambda _: ["--camera", 0, "--log-size", "inf"], 2, "--log-size must be"),
    "no number": (lambda _: ["--camera", 0, "--smallest-face", "nan"], 2, "a finite number"),
    "mqtt": (lambda _: ["--camera", 0, "--mqtt-ca", "ca.pem"], 2, "go with --mqtt"),
    "film of stills": (
        lambda d: ["--source", face_picture(d), "--record", d / "x.mp4"],
        2,
        "use --snapshot",
    ),
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_source_or_option_that_cannot_be_used_is_refused(tmp_path: Path, case: str) -> None:
    options, code, words = SOURCES[case]
    assert_refused(edge("--model", INT8, "--jsonl", "-", *options(tmp_path)), code, words)


def test_a_run_without_a_model_uses_the_shipped_one(tmp_path: Path) -> None:
    result = edge("--source", face_picture(tmp_path), "--jsonl", "-")
    assert result.exit_code == 0
    (record,) = records(result.stdout)
    assert "contempt" in record["probabilities"]


def test_an_unknown_model_lists_those_that_ship() -> None:
    known = "one of base, base-fer, micro, small, base-fer-int8"
    assert_refused(edge("--model", "huge", "--camera", "0"), 2, known)


def test_the_shipped_models_are_listed_with_what_they_score() -> None:
    result = edge("models")
    assert result.exit_code == 0
    assert result.stdout.startswith("base (the default)\n  base-fp16  ")
    voted, labelled = (
        ("neutral, happy, ", r"8\d\.\d% of 2948"),
        ("angry, disgust, ", r"6\d\.\d% of 3310"),
    )
    for name, (first, score) in (
        *((name, voted) for name in ("base-fp16", "base-int8", "micro-int8", "small-int8")),
        ("base-fer-int8", labelled),
    ):
        row = rf"^  {name}  \d+ kB  {first}.*\n    top-1 {score}"
        assert re.search(row, result.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "option", [["--detect", "haar"], ["--threads", "0"], ["--size", "x", "--camera", "0"]]
)
def test_an_option_that_does_not_exist_or_fit_is_exit_code_2(option: list[str]) -> None:
    result = edge("--model", INT8, *option)
    assert result.exit_code == 2
    assert option[0] in result.stderr


@pytest.mark.parametrize("command", [["doctor"], ["tune"], ["models"]])
def test_an_option_before_a_subcommand_is_refused_not_forgotten(command: list[str]) -> None:
    result = edge("--model", "other.tflite", *command)
    assert_refused(result, 2, f"--model stands before {command[0]}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["face.png", "talk.mp4", "pictures"])
def test_a_source_without_the_right_to_read_it_is_told_so(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir() if name == "pictures" else place.write_bytes(b"secret")
    place.chmod(0)
    assert_refused(edge("--model", INT8, "--source", place), 5, "Permission denied")


@pytest.mark.parametrize(
    ("option", "name"),
    [("--jsonl", "r.jsonl"), ("--record", "seen.mp4"), ("--snapshot", "newest.jpg")],
)
def test_an_output_below_a_file_is_exit_code_8(
    tmp_path: Path, video: Path, option: str, name: str
) -> None:
    (tmp_path / "file").write_text("kept")
    result = edge("--model", INT8, "--source", video, option, tmp_path / "file" / name)
    assert result.exit_code == 8
    assert "error: cannot write" in result.stderr
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("option", ["--record", "--snapshot"])
def test_an_output_of_an_unknown_format_is_exit_code_2(
    tmp_path: Path, video: Path, option: str
) -> None:
    result = edge("--model", INT8, "--source", video, option, tmp_path / "out.txt")
    assert_refused(result, 2, f"{option} writes")


def test_readings_into_a_closed_pipe_end_without_a_traceback() -> None:
    with Camera(scene("happy")[0]) as camera:
        command = [EMO_EDGE, "--model", str(INT8), "--source", camera.url, "--jsonl", "-"]
        # Python then writes what is left in its buffer once more at exit.
        buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered
        ) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            json.loads(child.stdout.readline())
            child.stdout.close()
            said = child.stderr.read().decode()
    assert child.returncode == 8, said
    assert "error" not in said
    assert "Traceback" not in said


# Ctrl-C ------------------------------------------------------------------------------------------


def frames_of(path: Path) -> int:
    capture = cv2.VideoCapture(str(path))
    assert capture.isOpened()
    count = 0
    while capture.read()[0]:
        count += 1
    return count


def has_lines(path: Path, wanted: int) -> bool:
    return path.exists() and path.read_text().count("\n") >= wanted


def signal_when(
    child: subprocess.Popen[str], ready: Callable[[], bool], number: int = signal.SIGINT
) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert child.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, "it never began"
        time.sleep(0.02)
    os.kill(child.pid, number)


def ended(child: subprocess.Popen[str]) -> tuple[str, str]:
    """Return what a process said; one that does not end is killed, not waited for."""
    try:
        return child.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        child.kill()
        raise


@pytest.mark.parametrize(
    ("number", "code", "last"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 0, "reading(s)"),
        (signal.SIGHUP, 0, "reading(s)"),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGHUP"],
)
def test_a_signal_ends_a_live_stream_and_leaves_every_file_whole(
    tmp_path: Path, number: int, code: int, last: str
) -> None:
    files = jsonl, table, film, picture = [
        tmp_path / name for name in ("r.jsonl", "r.csv", "seen.mp4", "newest.jpg")
    ]
    outputs = ["--jsonl", jsonl, "--csv", table, "--record", film, "--snapshot", picture]
    with Camera(scene("happy")[0]) as camera:
        command = [EMO_EDGE, "--model", INT8, "--source", camera.url, *outputs]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            signal_when(child, lambda: has_lines(jsonl, 8), number)
            out, err = ended(child)
    assert child.returncode == code, err
    assert last in err.splitlines()[-1]
    assert "Traceback" not in err
    assert "face 1  happy" in out
    read = records(jsonl.read_text())
    assert len(read) >= 8
    assert jsonl.read_text().endswith("\n")
    assert {record["label"] for record in read} == {"happy"}
    assert all("utc" in record for record in read)
    rows = table.read_text()
    assert rows.endswith("\n")
    assert len({line.count(",") for line in rows.splitlines()}) == 1
    assert len(rows.splitlines()) - 1 == len(read)
    assert frames_of(film) >= 2  # at most 15 a second
    assert read_image(picture).shape == (240, 210, 3)
    assert set(tmp_path.iterdir()) == set(files)


def test_a_signal_ends_a_run_whose_camera_is_away_and_keeps_what_was_recorded(
    tmp_path: Path,
) -> None:
    film, said = tmp_path / "seen.mp4", tmp_path / "said"
    command = [EMO_EDGE, "--model", str(INT8), "--record", str(film), "--source"]
    with Camera(scene("happy")[0], frames=30) as camera:
        url = camera.url
        with said.open("w") as log, subprocess.Popen([*command, url], stderr=log) as child:
            wait_until(lambda: camera.sent == 30)
            camera.shutdown()
            camera.server_close()
            signal_when(child, lambda: "lost (" in said.read_text(), signal.SIGTERM)
            assert child.wait(60) == 0
    assert frames_of(film) >= 1
    assert said.read_text().count("lost (") == 1


# Help --------------------------------------------------------------------------------------------

HEAVY = ("cv2", "numpy", "tflite_runtime", "ai_edge_litert", "tensorflow", "keras", "rich")
LOADED = f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])"


def printed_by(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("arguments", [["--help"], ["doctor", "--help"], ["--version"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    code = "import atexit, sys\n" + f"atexit.register(lambda: {LOADED})\n"
    said = printed_by(code + "from emo_edge.cli import main\nmain()", *arguments)
    assert said.splitlines()[-1] == "heavy: []"
    assert len(said.splitlines()) > 1


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert printed_by(f"import sys, emo_edge; {LOADED}").strip() == "heavy: []"


def test_the_public_names_are_there_and_an_unknown_one_is_an_attribute_error() -> None:
    import emo_edge

    assert all(getattr(emo_edge, name) is not None for name in emo_edge.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = emo_edge.nonsense


def test_help_names_every_exit_code_and_the_version_is_the_packages() -> None:
    said = " ".join(edge("--help").stdout.split())
    for part in ("0 done", "2 usage", "3 data", "4 model", "5 source", "7 no face", "130 inter"):
        assert part in said
    assert edge("--version").stdout.strip() == f"emo-toolkit {__version__}"


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_source_is_not_the_current_folder(empty: str) -> None:
    result = edge("--model", INT8, "--source", empty)
    assert result.exit_code == 5
    assert "the source is empty" in result.stderr


def test_a_reader_that_goes_away_ends_the_run_without_a_traceback(video: Path) -> None:
    command = [EMO_EDGE, "--model", str(INT8), "--source", str(video)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        assert b"Traceback" not in running.stderr.read()
    assert running.returncode == 8


def test_the_folders_of_a_jsonl_file_are_made(video: Path, tmp_path: Path) -> None:
    target = tmp_path / "logs" / "today" / "readings.jsonl"
    assert edge("--model", INT8, "--source", video, "--jsonl", target).exit_code == 0
    assert records(target.read_text())
