"""What a long run keeps in memory: one heap for all threads, no code that only the start needed."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from emo_edge import footprint

# Four threads at once, each of which takes more than a small object's worth.
FOUR_THREADS = """
import ctypes, sys, threading
from emo_edge.footprint import share_one_heap
if sys.argv[1] == "shared":
    share_one_heap()
together = threading.Barrier(4)
threads = [threading.Thread(target=lambda: (bytearray(5000), together.wait())) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""

# The libraries answer as before, and nothing that they wrote themselves is lost.
DROPPING = """
import json
import cv2, numpy as np
from emo_edge.footprint import drop_idle_code

def resident():
    lines = open("/proc/self/status").read().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) for name in ("RssFile", "RssAnon")}

def answers():
    square = np.arange(16.0).reshape(4, 4) + np.eye(4)
    picture = np.arange(64, dtype=np.uint8).reshape(8, 8)
    return np.linalg.inv(square).round(6).tolist(), cv2.resize(picture, (4, 4)).tolist()

expected, before = answers(), resident()
drop_idle_code()
after = resident()
print(json.dumps({"before": before, "after": after, "same": answers() == expected}))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize(("how", "one"), [("shared", True), ("untouched", False)])
def test_threads_share_one_heap_when_told_to(how: str, one: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FOUR_THREADS, how], capture_output=True, text=True, check=True
    )
    assert "Arena 0:" in done.stderr
    assert ("Arena 1:" not in done.stderr) == one


@pytest.mark.skipif(not footprint.MAPPINGS.exists(), reason="no /proc/self/smaps")
def test_code_of_the_start_is_dropped_and_still_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DROPPING], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    before, after = told["before"], told["after"]
    assert after["RssFile"] < before["RssFile"] / 2
    assert after["RssAnon"] > before["RssAnon"] - 1024  # the kernel counts pages in batches
    assert told["same"]


# As Linux tells of a library's relocated data; a swapped-out page is not among the anonymous ones.
RELOCATED = """\
7f0000000000-7f0000004000 r--p 00010000 08:01 42                         /usr/lib/libx.so
Size:                 16 kB
KernelPageSize:        4 kB
Rss:                   8 kB
Referenced:            8 kB
Anonymous:             {anonymous} kB
LazyFree:              0 kB
AnonHugePages:         0 kB
Swap:                  {swap} kB
SwapPss:               0 kB
Locked:                0 kB
VmFlags: rd mr mw me
"""


@pytest.mark.parametrize(
    ("anonymous", "swap", "dropped"), [(0, 0, True), (8, 0, False), (0, 8, False), (4, 4, False)]
)
def test_pages_that_a_library_changed_are_kept_in_memory_and_in_swap(
    anonymous: int, swap: int, dropped: bool
) -> None:
    told = RELOCATED.format(anonymous=anonymous, swap=swap)
    ranges = [(0x7F0000000000, 0x7F0000004000)] if dropped else []
    assert list(footprint._clean_files(told)) == ranges


@pytest.mark.parametrize("name", ["missing", "."])
def test_nothing_is_dropped_where_mappings_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(footprint, "MAPPINGS", tmp_path / name)
    footprint.drop_idle_code()
