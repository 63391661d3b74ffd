"""Network cameras: RTSP, MJPEG over HTTP, whatever FFmpeg opens by URL."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import cv2

from emo_edge.artifacts import opencv_name
from emo_edge.errors import SourceError
from emo_edge.sources.capture import OpenCvCapture
from emo_edge.sources.quiet import quieten_opencv

OPEN_MS, READ_MS = 10_000, 2_000
SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "tcp", "udp", "rtp", "srt")
ENCODING = "in a user, password or path write / ? # @ : as %2F %3F %23 %40 %3A"


class Stream:
    """A stream by its URL; its name leaves out what may be secret (user, password, query)."""

    def __init__(self, url: str) -> None:
        self._url = opencv_name(url)
        self.name = public_name(url)

    def open(self) -> OpenCvCapture:
        """Open it; raises `SourceError` if nobody answers."""
        quieten_opencv()
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS]
        capture = cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, limits)
        if not capture.isOpened():
            raise SourceError(
                f"{self.name}: stream cannot be opened; is it there, and the password right?"
            )
        width = round(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        # Encoders leave a quiet scene unchanged: equal pictures are no sign of a frozen camera.
        return OpenCvCapture(capture, f"{width}x{height}", noisy=False)

    def hint(self) -> object:
        """Nothing tells when a network camera is back."""
        return None


def public_name(url: str) -> str:
    """Return scheme, host and path of a URL; raises `SourceError` if it is none.

    A password with a / in it ends the host there, and would be taken for a path.
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # its words may be part of a password
        raise SourceError(f"not a URL; {ENCODING}") from None
    if port and "@" in (parts.path or parts.query + parts.fragment):
        raise SourceError(f"a URL with an @ behind its host; {ENCODING}")
    if parts.scheme.lower() not in SCHEMES:
        raise SourceError(
            f"{parts.scheme}:// is no kind of stream; choose from {', '.join(SCHEMES)}"
        )
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, host + port, parts.path, "", ""))
