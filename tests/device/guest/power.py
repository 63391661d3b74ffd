"""Outputs onto a disk whose power will be cut: run by the guest, which never finishes by itself."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import threading
import time
from pathlib import Path

from supervised import Supervised, command
from telling import Told, tell

DISK, DATA = Path("/dev/vda"), Path("/mnt")
MARK_AT, MARK_BYTES = 32 << 20, 512  # behind the file system, which is smaller than the disk
YUNET = Path("/opt/pictures/yunet.onnx")
# The kernel's virtual camera, slowly: all that is written here is what matters.
CAMERA = ("--camera", "0", "--detector", "none", "--fps", "5", "--max-fps", "2")
LOG = DATA / "log/seen.jsonl"
OUTPUTS = ("--csv", f"{DATA}/log/seen.csv", "--record", f"{DATA}/film/seen.mp4")


def main(told: Told) -> None:
    """Write everything that emo-edge writes; tell what was there while the power was on."""
    mount(DISK)
    threading.Thread(target=mark, daemon=True).start()
    told("written", name="etc/edge.toml", code=run("init", str(DATA / "etc/edge.toml")))
    if YUNET.exists():
        told("written", name="cache", code=run("fetch-detector", "--from", str(YUNET)))
    for number in (1, 2, 3):
        writer = Supervised(told, f"run {number}", LOG, *CAMERA, *OUTPUTS)
        writer.reading_since(time.monotonic(), 60)
        for _ in range(6 if number < 3 else 60):
            time.sleep(1)
            told("rows", text=LOG.read_text(encoding="utf-8"))
        writer.end()


def mount(disk: Path) -> None:
    """Mount a file system."""
    subprocess.run(["/bin/busybox", "mount", "-t", "ext4", str(disk), str(DATA)], check=True)


def run(*words: str) -> int:
    """Run a command of emo-edge; returns its exit status."""
    environment = {**os.environ, "XDG_CACHE_HOME": f"{DATA}/cache"}
    return subprocess.run(command(*words), env=environment, check=False).returncode


def mark() -> None:
    """Write the time onto the disk, past every cache, over and over."""
    page = mmap.mmap(-1, mmap.PAGESIZE)  # O_DIRECT wants its memory aligned
    file = os.open(DISK, os.O_WRONLY | os.O_DIRECT)
    while True:
        page[:MARK_BYTES] = json.dumps({"at": time.monotonic()}).encode().ljust(MARK_BYTES)
        os.pwrite(file, memoryview(page)[:MARK_BYTES], MARK_AT)
        time.sleep(0.2)


if __name__ == "__main__":
    tell(main)
