"""Disks whose power was cut, taken up again by emo-edge: run by the guest."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from power import CAMERA, DATA, LOG, OUTPUTS, mount
from supervised import Supervised
from telling import Told, tell


def main(told: Told) -> None:
    """Go on where each disk ends."""
    for disk in sorted(Path("/dev").glob("vd?")):
        mount(disk)
        found = LOG.read_bytes().decode("latin-1") if LOG.exists() else ""
        told("found", disk=disk.name, text=found)
        run = Supervised(told, disk.name, LOG, *CAMERA, *OUTPUTS)
        run.written_beyond(len(found), 60)  # times of another boot say nothing
        time.sleep(2)
        run.end()
        told("films", disk=disk.name, names=sorted(p.name for p in (DATA / "film").iterdir()))
        subprocess.run(["/bin/busybox", "umount", str(DATA)], check=True)
    told("finished")


if __name__ == "__main__":
    tell(main)
