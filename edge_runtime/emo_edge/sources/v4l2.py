"""Video4Linux nodes: which there are, whose they are, what they give.

Asked by ioctl (linux/videodev2.h, the same numbers on every Linux), because udev's names in
/dev/v4l are not there in a container.
"""

from __future__ import annotations

import fcntl
import functools
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DEVICES = Path("/dev")

# struct v4l2_capability: driver, card, bus_info, version, capabilities, device_caps, reserved.
CAPABILITY = struct.Struct("16s32s32sIII12x")
VIDIOC_QUERYCAP = 0x8068_5600
# struct v4l2_fmtdesc: index, type, flags, description, pixelformat, mbus_code, reserved.
FORMAT = struct.Struct("III32s4sI12x")
VIDIOC_ENUM_FMT = 0xC040_5602
# struct v4l2_frmsizeenum: index, pixel_format, type, 6 numbers (the first two where discrete), ...
FRAME_SIZE = struct.Struct("I4sI6I8x")
VIDIOC_ENUM_FRAMESIZES = 0xC02C_564A

VIDEO_CAPTURE, VIDEO_CAPTURE_MPLANE = 0x1, 0x1000
MEMORY_TO_MEMORY = 0x4000 | 0x8000  # codecs and scalers: they take pictures from a program
HAS_DEVICE_CAPS = 0x8000_0000
DISCRETE = 1
MOST_ENTRIES = 64
# The Raspberry Pi's own sensor interface and picture processor: raw data that only libcamera reads.
LIBCAMERA_DRIVERS = frozenset({"unicam", "rp1-cfe", "bcm2835-isp", "pispbe"})


@dataclass(frozen=True)
class Node:
    """One device node.

    Attributes:
        path: /dev/videoN.
        card: Name of the device.
        driver: Name of its driver.
        bus: Where it is plugged in.
        captures: Whether it gives pictures: a webcam has a second node for metadata.
    """

    path: Path
    card: str
    driver: str
    bus: str
    captures: bool

    @property
    def device(self) -> tuple[str, str]:
        """What stays the same as long as it is plugged in at the same place."""
        return self.card, self.bus


def node_paths() -> list[Path]:
    """Return the nodes in the order of their numbers."""
    numbered = [path for path in DEVICES.glob("video*") if path.name[5:].isdigit()]
    return sorted(numbered, key=lambda path: int(path.name[5:]))


def nodes() -> Iterator[Node]:
    """Yield the nodes that may be asked."""
    for path in node_paths():
        try:
            yield ask(path)
        except OSError:  # no permission, or unplugged this moment
            continue


def ask(path: Path) -> Node:
    """Return what a node says of itself; raises `OSError` if it does not answer."""
    with _open(path) as handle:
        answer = bytearray(CAPABILITY.size)
        fcntl.ioctl(handle, VIDIOC_QUERYCAP, answer)
    driver, card, bus, _, capabilities, device_capabilities = CAPABILITY.unpack(answer)
    # A driver's `capabilities` are those of all its nodes together.
    own = device_capabilities if capabilities & HAS_DEVICE_CAPS else capabilities
    captures = own & (VIDEO_CAPTURE | VIDEO_CAPTURE_MPLANE) and not own & MEMORY_TO_MEMORY
    name = _text(driver)
    return Node(
        path, _text(card), name, _text(bus), bool(captures) and name not in LIBCAMERA_DRIVERS
    )


def formats(path: Path) -> dict[str, list[str]]:
    """Return {four characters of a pixel format: sizes such as "640x480"}; empty if none."""
    with _open(path) as handle:
        for kind in (1, 9):  # V4L2_BUF_TYPE_VIDEO_CAPTURE, _MPLANE
            question = functools.partial(_about_format, kind)
            codes = [FORMAT.unpack(a)[4] for a in _enumerate(handle, VIDIOC_ENUM_FMT, question)]
            if codes:
                return {_name(code): _sizes(handle, code) for code in codes}
    return {}


def _about_format(kind: int, index: int) -> bytes:
    return FORMAT.pack(index, kind, 0, b"", b"", 0)


def _sizes(handle: int, code: bytes) -> list[str]:
    sizes = []
    for answer in _enumerate(
        handle, VIDIOC_ENUM_FRAMESIZES, lambda i: FRAME_SIZE.pack(i, code, 0, *[0] * 6)
    ):
        _, _, kind, a, b, _, c, d, _ = FRAME_SIZE.unpack(answer)
        if kind != DISCRETE:  # least and greatest width, then height
            return [f"{a}x{c} to {b}x{d}"]
        sizes.append(f"{a}x{b}")
    return sizes


def _enumerate(handle: int, request: int, question: Callable[[int], bytes]) -> Iterator[bytes]:
    for index in range(MOST_ENTRIES):
        answer = bytearray(question(index))
        try:
            fcntl.ioctl(handle, request, answer)
        except OSError:  # EINVAL ends the list, ENOTTY says there is none
            return
        yield bytes(answer)


@contextmanager
def _open(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        yield handle
    finally:
        os.close(handle)


def _name(code: bytes) -> str:
    big_endian = code[3] & 0x80  # V4L2_PIX_FMT_BE
    return _text(code[:3] + bytes([code[3] & 0x7F])) + ("-BE" if big_endian else "")


def _text(field: bytes) -> str:
    # The kernel fills the fields; a device may have put anything into them.
    name = field.split(b"\0", 1)[0].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in name).strip()
