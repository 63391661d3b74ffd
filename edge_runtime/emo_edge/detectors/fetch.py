"""The YuNet face detector's file: where it is kept, and how it gets there.

It is not part of the distribution: `emo-edge fetch-detector` brings it once, from the internet or,
for a board without, from a file or another URL. Whatever brings it, only the bytes with the known
checksum are kept, and they are compared again each time they are loaded.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import BinaryIO

from emo_edge.artifacts import require_writable, sha256, write_bytes
from emo_edge.cache import cache_folder
from emo_edge.errors import ModelError, OutputError, SourceError, UsageError

# From OpenCV's model zoo, under the MIT licence (Wu, Peng, Yu: "YuNet", 2023).
YUNET_NAME = "face_detection_yunet_2023mar.onnx"
YUNET_URL = (
    "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/"
    f"face_detection_yunet/{YUNET_NAME}"
)
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
YUNET_BYTES = 232_589

SILENCE_SECONDS = 20.0  # of a server, before it is given up
DOWNLOAD_SECONDS = 300.0  # in all: 0.8 kB/s is a bad line, less is a server that plays dead


def yunet_path() -> Path:
    """Return where the file is kept."""
    return cache_folder() / YUNET_NAME


def yunet_fetched() -> bool:
    """Return whether the file is there, good or bad."""
    try:
        return yunet_path().exists()
    except (OSError, OutputError):  # a place that this user may not look into, or none
        return False


def read_yunet() -> bytes:
    """Return the content of the file that was fetched.

    Raises `UsageError` if it never was, `ModelError` if it was damaged since.
    """
    path = yunet_path()
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            "the YuNet face detector is not on this machine; run: emo-edge fetch-detector"
        ) from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    if sha256(content) != YUNET_SHA256:
        raise ModelError(f"{path} is damaged; run: emo-edge fetch-detector")
    return content


def fetch_yunet(origin: str = YUNET_URL) -> tuple[Path, bool]:
    """Fetch the file from a path, file:, http: or https: URL unless a good one is there.

    Returns:
        Where it is kept, and whether it had to be fetched.

    Raises:
        UsageError: a URL of another kind.
        SourceError: it cannot be opened or stopped delivering.
        ModelError: what arrived is another file; whatever was there before stays.
        OutputError: the cache cannot be written.
    """
    path = yunet_path()
    if not origin:  # an unset shell variable would mean the current folder
        raise UsageError("--from is empty: give a path or a URL")
    try:
        read_yunet()
    except (UsageError, ModelError):
        require_writable(path)
        content = _read(origin)
        _require_yunet(content, origin)
        write_bytes(path, content)
        return path, True
    return path, False


def _require_yunet(content: bytes, origin: str) -> None:
    if len(content) < YUNET_BYTES:
        found = f"gave {len(content)} of {YUNET_BYTES} bytes: cut short, or not the file"
    elif len(content) > YUNET_BYTES:
        found = f"is larger than the {YUNET_BYTES} bytes of the file"
    elif sha256(content) != YUNET_SHA256:
        found = "has another SHA-256: damaged on its way, or another version"
    else:
        return
    raise ModelError(f"{origin} {found}; nothing was kept. Try again, or get {YUNET_URL}")


def _read(origin: str) -> bytes:
    """Return what `origin` holds, but never more than one byte beyond the file's size."""
    import http.client  # every run imports this module: 30 ms and 3 MB with what it brings

    try:
        if "://" in origin:
            return _download(origin)
        with Path(origin).open("rb") as file:
            return file.read(YUNET_BYTES + 1)
    # ValueError: not a URL or path at all. The last two: a redirect whose content, which urllib
    # reads, is said to be larger than the memory.
    except (OSError, http.client.HTTPException, ValueError, MemoryError, OverflowError) as error:
        # Some repeat lines of what a server said.
        reason = " ".join(str(error).split()) or "it says that it is larger than the memory"
        raise SourceError(
            f"cannot fetch {origin}: {reason}. On a board without internet, get {YUNET_URL} "
            "elsewhere and run: emo-edge fetch-detector --from FILE"
        ) from error


def _download(url: str) -> bytes:
    import urllib.request

    if not url.lower().startswith(("https://", "http://", "file://")):
        raise UsageError(f"cannot fetch {url}: give a path or a http:, https: or file: URL")
    with urllib.request.urlopen(url, timeout=SILENCE_SECONDS) as response:
        return _read_in_time(response, time.monotonic() + DOWNLOAD_SECONDS)


def _read_in_time(response: BinaryIO, deadline: float) -> bytes:
    content = b""
    # A read() would wait for as long as a byte comes now and then; read1() returns after each.
    read = getattr(response, "read1", response.read)
    while len(content) <= YUNET_BYTES:
        if time.monotonic() > deadline:
            raise TimeoutError(f"too slow: {len(content)} bytes in {DOWNLOAD_SECONDS:.0f} s")
        piece = read(YUNET_BYTES + 1 - len(content))
        if not piece:
            break
        content += piece
    return content
