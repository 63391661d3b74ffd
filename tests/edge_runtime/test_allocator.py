"""The allocator of a long run: one heap for all threads."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Four threads at once, each of which takes more than a small object's worth.
FOUR_THREADS = """
import ctypes, sys, threading
from emo_edge.allocator import share_one_heap
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize(("how", "one"), [("shared", True), ("untouched", False)])
def test_threads_share_one_heap_when_told_to(how: str, one: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FOUR_THREADS, how], capture_output=True, text=True, check=True
    )
    assert "Arena 0:" in done.stderr
    assert ("Arena 1:" not in done.stderr) == one
