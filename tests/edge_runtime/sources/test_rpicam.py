"""A CSI camera through rpicam-vid: a program on PATH that plays real JPEG pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import pytest

from edge_runtime.streaming import number_of, numbered
from emo_edge.errors import SourceError
from emo_edge.health import Health
from emo_edge.sources import Asked, cameras, open_source
from emo_edge.sources.live import live
from emo_edge.sources.rpicam import Rpicam
from emo_edge.sources.settings import Patience

PLAYER = """#!{python}
import os, pathlib, signal, sys, time
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv) + "\\n")
(here / "pid").write_text(str(os.getpid()))
frames = [path.read_bytes() for path in sorted(here.glob("*.jpg"))]
sys.stderr.write("[0:01:02] INFO Camera camera_manager.cpp:326 libcamera v0.5\\n")
{body}
"""
PLAY = """
for number in range(10**9):
    sys.stderr.write(f"#{number} (30.00 fps) exp 33000.00 ag 1.00 dg 1.00\\n" * 50)
    os.write(1, frames[number % len(frames)])
    time.sleep(0.005)
"""
LIST = """
print("Available cameras\\n-----------------")
print("0 : imx219 [3280x2464 10-bit RGGB] (/base/soc/i2c0mux/i2c@1/imx219@10)")
print("    Modes: 'SRGGB10_CSI2P' : 640x480 [206.65 fps - (1000, 752)/1280x960 crop]")
print("1 : ov5647 [2592x1944 10-bit GBRG] (/base/soc/i2c0mux/i2c@0/ov5647@36)")
"""
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return `install(body, name)`, which puts a program on an otherwise empty PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for number in range(8):
        cv2.imwrite(str(folder / f"{number}.jpg"), numbered(number))
    monkeypatch.setenv("PATH", str(folder))

    def put(body: str, name: str = "rpicam-vid") -> Path:
        program = folder / name
        program.write_text(PLAYER.format(python=sys.executable, body=body))
        program.chmod(0o755)
        return folder

    return put


def test_the_program_is_asked_for_what_was_asked_and_its_pictures_arrive(install: Install) -> None:
    folder = install(PLAY)
    with open_source("rpicam:1", asked=Asked(800, 600, 12.5)) as source:
        frames = [next(source.frames) for _ in range(5)]
        assert (source.kind, source.name, source.fps) == ("live", "rpicam:1", 12.5)
    for frame in frames:
        assert frame is not None
        assert number_of(frame.image) == frame.index % 8
    (call,) = (folder / "calls").read_text().splitlines()
    for words in (
        "--camera 1", "--width 800 --height 600", "--framerate 12.5", "--codec mjpeg",
        "--timeout 0", "--nopreview", "--output -",
    ):  # fmt: skip
        assert words in call
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)


def test_the_older_name_of_the_program_is_known(install: Install) -> None:
    install(PLAY, "libcamera-vid")
    with open_source("rpicam") as source:
        assert next(source.frames) is not None


def test_without_the_program_the_line_that_installs_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(SourceError, match="sudo apt install rpicam-apps-lite"),
        open_source("rpicam"),
    ):
        pass


def test_what_the_program_said_last_is_the_reason(install: Install) -> None:
    install('sys.stderr.write("ERROR: *** no cameras available ***\\n"); sys.exit(255)')
    with pytest.raises(SourceError, match="no cameras available"), open_source("rpicam"):
        pass


def test_the_reason_is_told_though_the_end_is_noticed_with_it(install: Install) -> None:
    install('sys.stderr.write("ERROR: *** no cameras available ***\\n"); sys.exit(255)')
    pipe = Rpicam("rpicam", 0, Asked()).open()
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # both pipes have something to say now
    with closing(pipe), pytest.raises(SourceError, match="no cameras available"):
        pipe.read()


def test_a_program_that_cannot_be_run_is_refused(install: Install) -> None:
    folder = install(PLAY)
    (folder / "rpicam-vid").write_text("#!/no/such/interpreter\n")
    with pytest.raises(SourceError, match="cannot be run"), open_source("rpicam"):
        pass


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("for f in frames: os.write(1, f); time.sleep(0.01)", "ended"),
        (
            "for f in frames: os.write(1, f); time.sleep(0.01)\n"
            "signal.signal(15, signal.SIG_IGN); time.sleep(60)",
            "no frame for",
        ),
    ],
    ids=["it ends", "it hangs and will not end"],
)
def test_a_program_that_fails_is_begun_anew(
    install: Install, capsys: pytest.CaptureFixture[str], body: str, reason: str
) -> None:
    folder = install(body)
    health = Health()
    patience = Patience(silence=0.3, first_pause=0.05, longest_pause=0.1, stuck=5)
    with live(Rpicam("rpicam", 0, Asked()), health, patience) as source:
        first = int((folder / "pid").read_text())
        install(PLAY)
        while not health.source.reopened:
            next(source.frames)
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
    assert reason in capsys.readouterr().err


def test_ctrl_c_reaches_the_loop_and_not_the_program(install: Install) -> None:
    folder = install(PLAY)
    with open_source("rpicam") as source:
        next(source.frames)
        program = int((folder / "pid").read_text())
        assert os.getpgid(program) != os.getpgid(0)


def test_the_cameras_it_knows_are_listed(install: Install) -> None:
    install(LIST, "rpicam-hello")
    listed = {camera.name: camera.title for camera in cameras()}
    assert listed["rpicam:0"].startswith("imx219 [3280x2464")
    assert listed["rpicam:1"].startswith("ov5647")
    assert not [name for name in listed if name.startswith("rpicam:") and name[7:] not in "01"]


def test_a_lister_that_hangs_or_fails_lists_nothing(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emo_edge.sources.rpicam.LISTING_SECONDS", 0.3)
    for body in ("time.sleep(60)", "sys.exit(1)"):
        install(body, "rpicam-hello")
        assert not [camera for camera in cameras() if camera.name.startswith("rpicam")]
