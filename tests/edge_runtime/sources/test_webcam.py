"""Video4Linux without a camera: files in place of nodes, and a kernel's answers to the ioctls."""

from __future__ import annotations

import errno
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edge_runtime.streaming import number_of, numbered
from emo_edge.cli import app
from emo_edge.errors import SourceError
from emo_edge.health import Health
from emo_edge.sources import Asked, open_source, webcam
from emo_edge.sources.live import live
from emo_edge.sources.settings import Patience
from emo_edge.sources.webcam import Webcam
from running import assert_refused, call

CAPTURE, METADATA, CODEC = 0x0420_0001, 0x00A0_0000, 0x0420_8000
OWN = 0x8000_0000  # device_caps are valid
FORMATS = {b"MJPG": [(640, 480), (1280, 720)], b"YUYV": [(640, 480)], b"Y16\xa0": []}


@dataclass
class Plugged:
    """What is behind a node."""

    card: str = "HD Webcam C270"
    bus: str = "usb-0000:01:00.0-1.2"
    driver: str = "uvcvideo"
    capabilities: int = CAPTURE


class Machine:
    """The nodes of a machine, and OpenCV on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.there: dict[Path, Plugged] = {}
        self.settings: dict[str, list[tuple[int, float]]] = {}

    def plug(self, number: int, what: Plugged | None = None) -> Path:
        path = self.folder / f"video{number}"
        path.touch()
        self.there[path] = what or Plugged()
        return path

    def unplug(self, number: int) -> None:
        path = self.folder / f"video{number}"
        path.unlink()
        del self.there[path]

    def ioctl(self, handle: int, request: int, answer: bytearray) -> int:
        plugged = self.there[Path(f"/proc/self/fd/{handle}").readlink()]
        name = {0x80685600: self.capability, 0xC0405602: self.format, 0xC02C564A: self.size}
        name[request](plugged, answer)
        return 0

    @staticmethod
    def capability(plugged: Plugged, answer: bytearray) -> None:
        names = [text.encode() for text in (plugged.driver, plugged.card, plugged.bus)]
        numbers = (0x60100, CAPTURE | METADATA | OWN, plugged.capabilities)
        struct.pack_into("16s32s32sIII", answer, 0, *names, *numbers)

    @staticmethod
    def format(_: Plugged, answer: bytearray) -> None:
        index, kind = struct.unpack_from("II", answer)
        if kind != 1 or index >= len(FORMATS):
            raise OSError(errno.EINVAL, "Invalid argument")
        struct.pack_into("32s4s", answer, 12, b"Motion-JPEG", list(FORMATS)[index])

    @staticmethod
    def size(_: Plugged, answer: bytearray) -> None:
        index, code = struct.unpack_from("I4s", answer)
        if index >= len(FORMATS[code]):
            raise OSError(errno.EINVAL, "Invalid argument")
        struct.pack_into("III", answer, 8, 1, *FORMATS[code][index])

    def capture(self, path: str, api: int) -> Capture:
        assert api == cv2.CAP_V4L2
        self.settings[path] = []
        return Capture(self, Path(path))


class Capture:
    """A `cv2.VideoCapture` on a node, that gives JPEG pictures as they are when asked to."""

    def __init__(self, machine: Machine, path: Path) -> None:
        self.machine, self.path, self.number = machine, path, 0
        self.plugged = machine.there.get(path.resolve())
        self.values: dict[int, float] = {cv2.CAP_PROP_FPS: 30.0, cv2.CAP_PROP_FRAME_WIDTH: 640}
        self.values[cv2.CAP_PROP_FRAME_HEIGHT] = 480

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return self.plugged is not None

    def set(self, key: int, value: float) -> bool:
        self.machine.settings[str(self.path)].append((key, value))
        self.values[key] = value
        return True

    def get(self, key: int) -> float:
        return self.values.get(key, 0.0)

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.machine.there.get(self.path.resolve()) is not self.plugged:
            return False, None
        self.number += 1
        jpeg = cv2.imencode(".jpg", numbered(self.number))[1]
        raw = self.values.get(cv2.CAP_PROP_CONVERT_RGB) == 0
        return True, jpeg.reshape(1, -1) if raw else numbered(self.number)

    def release(self) -> None:
        pass


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setattr("emo_edge.sources.v4l2.DEVICES", tmp_path)
    monkeypatch.setattr("fcntl.ioctl", machine.ioctl)
    monkeypatch.setattr("cv2.VideoCapture", machine.capture)
    return machine


def test_cameras_are_listed_with_what_they_give_and_other_nodes_are_told_apart(
    machine: Machine,
) -> None:
    machine.plug(0)
    machine.plug(1, Plugged(capabilities=METADATA))
    machine.plug(10, Plugged("bcm2835-codec", "platform:bcm", "bcm2835-codec", CODEC))
    machine.plug(2, Plugged("unicam", "platform:fe801000.csi", "unicam"))
    listed = CliRunner().invoke(app, ["cameras"])
    node = f"{machine.folder}/video"
    assert listed.exit_code == 0
    assert listed.stdout.splitlines() == [
        f"0            HD Webcam C270 (uvcvideo, usb-0000:01:00.0-1.2, {node}0)",
        "               MJPG 640x480, 1280x720",
        "               YUYV 640x480",
        "               Y16-BE",
    ]
    others = [line for line in listed.stderr.splitlines() if "gives no pictures" in line]
    assert [line.split(":")[0] for line in others] == [f"{node}1", f"{node}2", f"{node}10"]


def test_without_a_camera_the_list_is_empty_and_says_what_to_do(machine: Machine) -> None:
    listed = CliRunner().invoke(app, ["cameras"])
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert "no camera found" in listed.stderr


def test_what_is_asked_for_is_set_and_what_the_driver_gives_is_said_once(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    path = machine.plug(0)

    def stubborn(self: Capture, key: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: 1280.0, cv2.CAP_PROP_FRAME_HEIGHT: 720.0}.get(
            key, self.values.get(key, 0.0)
        )

    Capture.get, before = stubborn, Capture.get  # type: ignore[method-assign]
    try:
        with open_source("0", asked=Asked(1920, 1080, 15)) as source:
            frame = next(source.frames)
    finally:
        Capture.get = before  # type: ignore[method-assign]
    assert frame is not None
    assert number_of(frame.image) == frame.index + 1
    settings = dict(machine.settings[str(path)])
    assert settings[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert settings[cv2.CAP_PROP_FRAME_WIDTH] == 1920
    assert settings[cv2.CAP_PROP_FPS] == 15
    said = capsys.readouterr().err
    assert (
        said
        == f"camera 0: HD Webcam C270 ({path}), 1280x720 MJPG at 15 fps (asked for 1920x1080)\n"
    )


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (Plugged(capabilities=METADATA), "gives no pictures"),
        (Plugged(driver="rp1-cfe"), "use --camera rpicam"),
        (None, r"no camera .*video0; cameras here: .*video4"),
    ],
)
def test_a_node_that_gives_no_pictures_is_refused(
    machine: Machine, there: Plugged | None, message: str
) -> None:
    machine.plug(4)
    if there is not None:
        machine.plug(0, there)
    with pytest.raises(SourceError, match=message), open_source("0"):
        pass


@pytest.mark.parametrize("node", ["/dev/v4l/by-id/usb-gone-index0", "/dev/video987"])
def test_a_camera_that_is_not_there_may_be_asked_for_a_size(node: str) -> None:
    done = call(app, "--camera", node, "--size", "1280x720", "--fps", "15")
    assert_refused(done, 5, f"no camera {node}")


def test_a_file_that_is_no_camera_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is no camera"), open_source("/dev/null"):
        pass


def follow(
    machine: Machine, then: Callable[[], object], camera: Webcam | None = None
) -> tuple[str, Health]:
    """Open camera 0, let it be lost and `then` happen; return what is read when it is back."""
    health = Health()
    patience = Patience(silence=0.3, first_pause=0.05, longest_pause=0.1)
    with live(camera or Webcam("0", Asked()), health, patience) as source:
        machine.settings.clear()
        then()
        while not health.source.reopened:
            next(source.frames)
    (path,) = machine.settings
    return path, health


def test_a_camera_that_comes_back_under_another_index_is_found(machine: Machine) -> None:
    machine.plug(0)
    machine.plug(1, Plugged(capabilities=METADATA))

    def replug() -> None:
        machine.unplug(0)
        machine.plug(3, Plugged(capabilities=METADATA))
        machine.plug(2)

    path, _ = follow(machine, replug)
    assert Path(path).name == "video2"


def test_a_camera_that_is_back_before_its_loss_is_noticed_is_opened_at_once(
    machine: Machine,
) -> None:
    machine.plug(0)
    health, patience = Health(), Patience(silence=0.3, first_pause=600.0, longest_pause=600.0)
    with live(Webcam("0", Asked()), health, patience) as source:
        for times in (1, 2, 3):  # the second loss within a while is given a pause
            machine.unplug(0)
            machine.plug(0)
            deadline = time.monotonic() + 20  # ends a test that has failed
            while health.source.reopened < times:
                next(source.frames)
                assert time.monotonic() < deadline, "it waits, though the camera is back"


def test_the_same_camera_in_another_socket_is_found_and_its_twin_is_not_taken(
    machine: Machine,
) -> None:
    machine.plug(0)
    machine.plug(1, Plugged(bus="the twin's"))

    def replug() -> None:
        machine.unplug(0)
        machine.plug(2, Plugged(bus="another socket"))

    path, _ = follow(machine, replug)
    assert Path(path).name == "video2"


def test_another_camera_at_its_index_will_do_after_a_while(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webcam, "REPLACED_SECONDS", 0.4)
    machine.plug(0)

    def replace() -> None:
        machine.unplug(0)
        machine.plug(0, Plugged("Newcomer", "usb-2"))

    path, _ = follow(machine, replace)
    assert Path(path).name == "video0"
    assert capsys.readouterr().err.count("back after") == 1


def test_a_neighbour_that_moves_to_its_index_is_not_taken_for_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webcam, "REPLACED_SECONDS", 0.1)
    machine.plug(0)
    machine.plug(1, Plugged("Neighbour", "usb-2"))

    def shuffle() -> None:
        machine.unplug(0)
        machine.unplug(1)
        machine.plug(0, Plugged("Neighbour", "usb-2"))
        threading.Timer(0.6, machine.plug, [5]).start()

    path, _ = follow(machine, shuffle)
    assert Path(path).name == "video5"


def test_a_link_by_id_is_followed_anew(machine: Machine, tmp_path: Path) -> None:
    machine.plug(0)
    link = tmp_path / "usb-Webcam-video-index0"
    link.symlink_to(tmp_path / "video0")

    def replug() -> None:
        machine.unplug(0)
        machine.plug(2, Plugged("renamed", "elsewhere"))
        link.unlink()
        link.symlink_to(tmp_path / "video2")

    path, _ = follow(machine, replug, Webcam(str(link), Asked()))
    assert path == str(link)
