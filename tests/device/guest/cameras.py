"""Two cameras and what happens to cameras, seen by emo-edge: run by the guest."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from supervised import Supervised, command
from telling import Told, tell
from usb_camera import UsbCamera

PICTURES = Path("/opt/pictures")
CYCLES = int(os.environ.get("CYCLES", "100"))
VIVID = Path("/sys/bus/platform/drivers/vivid")
# A search for faces costs the emulator seconds: where a fault is the matter, the middle of the
# picture is taken for a face, twice a second.
QUICK = ("--detector", "none", "--fps", "5", "--max-fps", "2")
NODE = Path("/dev/video0")


def main(told: Told) -> None:
    """Tell the host everything; it judges."""
    told("booted", kernel=os.uname().release, machine=os.uname().machine)
    vivid(told)
    jpegs = [path.read_bytes() for path in sorted(PICTURES.glob("*.jpg"))]
    small = (PICTURES / "small.jpeg").read_bytes()
    camera = UsbCamera(jpegs, small=small)
    camera.plug()
    wait_for(NODE)
    told("listed", text=output("cameras"))
    whole_loop(told)
    faults(told, camera)
    told("finished")


def vivid(told: Told) -> None:
    """The kernel's virtual camera, read, unbound and bound again."""
    wait_for(NODE)
    with running(told, "vivid", "--camera", "0", *QUICK) as run:
        run.reading_since(0.0, 60)
        time.sleep(3)
        with fault(told, run, "vivid unbound"):
            (VIVID / "unbind").write_text("vivid.0")
            time.sleep(3)
            (VIVID / "bind").write_text("vivid.0")
        time.sleep(2)
    subprocess.run(["/bin/busybox", "rmmod", "vivid"], check=True)


def whole_loop(told: Told) -> None:
    """Everything as a user has it: the detector too."""
    with running(told, "whole loop", "--camera", "0", "--fps", "5", "--max-fps", "2") as run:
        run.reading_since(0.0, 120)
        time.sleep(3)


def faults(told: Told, camera: UsbCamera) -> None:
    """One run, and everything that can happen to its camera."""
    with running(told, "faults", "--camera", "0", *QUICK) as run:
        run.reading_since(0.0, 60)
        time.sleep(10)
        with fault(told, run, "unplugged"):
            camera.unplug()
            time.sleep(5)
            camera.plug()
        with fault(told, run, "another number"):
            with NODE.open("rb"):  # whoever holds the node keeps its number
                camera.unplug()
                time.sleep(2)
                camera.plug()
                wait_for(NODE.with_name("video2"))  # the second of its nodes
            told("nodes", names=sorted(path.name for path in Path("/dev").glob("video*")))
        for behaviour, seconds in (
            ("silent", 12.0), ("errors", 3.0), ("noise", 3.0), ("cut", 3.0), ("junk", 3.0),
            ("small", 3.0), ("still", 12.0),
        ):  # fmt: skip
            with fault(told, run, behaviour):
                camera.behaviour = behaviour
                time.sleep(seconds)
                camera.behaviour = "good"
        with fault(told, run, "another format"):
            camera.unplug()
            other = UsbCamera([(PICTURES / "raw.yuyv").read_bytes()], "YUYV")
            other.plug()
        other.unplug()
        time.sleep(2)
        with fault(told, run, "its own format"):
            camera.plug()
        for cycle in range(CYCLES):
            if cycle % 20 == 0:
                run.hold()
            time.sleep(0.3)
            with fault(told, run, "cycle"):
                camera.unplug()
                time.sleep(0.2 + 0.1 * (cycle % 7))
                camera.plug()
        time.sleep(2)
        run.hold()
    camera.unplug()


@contextmanager
def running(told: Told, name: str, *words: str) -> Iterator[Supervised]:
    """Run emo-edge for as long as the context lasts."""
    run = Supervised(told, name, Path(f"/tmp/{name.replace(' ', '-')}.jsonl"), *words)
    yield run
    run.end()


@contextmanager
def fault(told: Told, run: Supervised, name: str) -> Iterator[None]:
    """Tell when a fault begins, when it is over, and whether readings come after it."""
    told("fault", name=name)
    yield
    over = told("over", name=name)
    told("recovered", name=name, readings=run.reading_since(over, 40))


def wait_for(path: Path) -> None:
    """Wait for a node."""
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise TimeoutError(f"no {path}")


def output(*words: str) -> str:
    """Return what a command of emo-edge prints."""
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


if __name__ == "__main__":
    tell(main)
