"""A USB webcam in user space, behind the kernel's virtual USB host controller (vhci-hcd).

The kernel's own USB core and uvcvideo driver serve what it sends as /dev/videoN: a wire protocol
stands where the cable would be. Sources: Documentation/usb/usbip_protocol.rst of Linux, "USB"
(USB 2.0 specification, chapter 9), "UVC" (USB Device Class Definition for Video Devices 1.0).
"""

from __future__ import annotations

import errno
import itertools
import os
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

CONTROLLER = Path("/sys/devices/platform/vhci_hcd.0")
HIGH_SPEED = 3  # enum usb_device_speed
DEVICE_ID = 0x0001_0002

# usbip_header_basic: command, seqnum, devid, direction, ep; what follows is padded to 48 bytes.
BASIC = struct.Struct(">5I")
HEADER_BYTES = 48
SUBMIT, UNLINK, SUBMITTED, UNLINKED = 1, 2, 3, 4

WIDTH, HEIGHT = 640, 480
INTERVALS = (1000000, 2000000)  # of 100 ns: 10, 5 frames a second
USUAL_INTERVAL = 1000000
PAYLOAD = 16384
# UVC 4.3.1.1, probe and commit: hint, format, frame, interval, five ratings, most bytes of a
# picture, most bytes of a transfer.
PROBE = struct.Struct("<HBBI5HII")
GET_CURRENT, GET_LENGTH, GET_INFO, SET_CURRENT = 0x81, 0x85, 0x86, 0x01
YUY2 = bytes.fromhex("5955593200001000800000aa00389b71")
END_OF_FRAME, END_OF_HEADER = 0x02, 0x80


def _descriptor(kind: int, *fields: int | bytes) -> bytes:
    body = b"".join(field if isinstance(field, bytes) else bytes([field]) for field in fields)
    return bytes([len(body) + 2, kind]) + body


def _u16(value: int) -> bytes:
    return struct.pack("<H", value)


def _u32(value: int) -> bytes:
    return struct.pack("<I", value)


DEVICE = _descriptor(
    1, _u16(0x200), 0xEF, 2, 1, 64, _u16(0x1D6B), _u16(0x0102), _u16(0x100), 1, 2, 0, 1
)
STRINGS = {
    0: _descriptor(3, _u16(0x409)),
    1: _descriptor(3, "emo-toolkit".encode("utf-16le")),
    2: _descriptor(3, "Emulated webcam".encode("utf-16le")),
}


def _format(code: str) -> bytes:
    """Return the class-specific descriptors of one format with one size (UVC 3.9.2.3 ff.)."""
    if code == "MJPG":
        form, kind = _descriptor(0x24, 6, 1, 1, 1, 1, 0, 0, 0, 0), 7
    else:
        form, kind = _descriptor(0x24, 4, 1, 1, YUY2, 16, 1, 0, 0, 0, 0), 5
    raw = WIDTH * HEIGHT * 2
    intervals = b"".join(map(_u32, INTERVALS))
    frame = _descriptor(
        0x24, kind, 1, 0, _u16(WIDTH), _u16(HEIGHT), _u32(raw * 8 * 5), _u32(raw * 8 * 30),
        _u32(raw), _u32(USUAL_INTERVAL), len(INTERVALS), intervals,
    )  # fmt: skip
    colours = _descriptor(0x24, 13, 1, 1, 4)
    return form + frame + colours


def _configuration(code: str) -> bytes:
    """Return a video function: a camera, its terminal, and one bulk endpoint that streams."""
    units = _descriptor(0x24, 2, 1, _u16(0x201), 0, 0, _u16(0), _u16(0), _u16(0), 3, 0, 0, 0)
    units += _descriptor(0x24, 3, 2, _u16(0x101), 0, 1, 0)
    control = _descriptor(0x24, 1, _u16(0x100), _u16(13 + len(units)), _u32(48_000_000), 1, 1)
    formats = _format(code)
    streaming = _descriptor(0x24, 1, 1, _u16(14 + len(formats)), 0x81, 0, 2, 0, 0, 0, 1, 0)
    body = b"".join(
        (
            _descriptor(11, 0, 2, 0x0E, 3, 0, 2),  # interface association
            _descriptor(4, 0, 0, 0, 0x0E, 1, 0, 2),
            control + units,
            _descriptor(4, 1, 0, 1, 0x0E, 2, 0, 2),
            streaming + formats,
            _descriptor(5, 0x81, 2, _u16(512), 0),
        )
    )
    return _descriptor(2, _u16(9 + len(body)), 2, 1, 0, 0x80, 250) + body


class UsbCamera:
    """A webcam that can be plugged, unplugged and told to misbehave.

    Args:
        pictures: What it shows, over and over: JPEG files, or raw YUYV of 640x480.
        code: "MJPG" or "YUYV": the one format that it has.

    Attributes:
        behaviour: "good"; "silent" (answers nothing); "errors" (every transfer fails); "noise"
            (half of a picture is noise); "cut" (a third of a picture); "junk" (no JPEG at all);
            "small" (a picture of another size than promised); "still" (one picture for ever).
    """

    def __init__(self, pictures: Sequence[bytes], code: str = "MJPG", small: bytes = b"") -> None:
        self.behaviour = "good"
        self._pictures, self._small = pictures, small
        self._descriptors = {1: DEVICE, 2: _configuration(code)}
        self._cable: socket.socket | None = None
        self._server: threading.Thread | None = None

    def plug(self) -> None:
        """Plug it in; the node appears a little later."""
        host, self._cable = socket.socketpair()
        connection = _Connection(self, self._cable, self._descriptors)
        self._server = threading.Thread(target=connection.serve, daemon=True)
        self._server.start()
        with host:
            (CONTROLLER / "attach").write_text(f"0 {host.fileno()} {DEVICE_ID} {HIGH_SPEED}")

    def unplug(self) -> None:
        """Pull it out."""
        assert self._cable is not None and self._server is not None
        (CONTROLLER / "detach").write_text("0")
        self._server.join()
        self._cable.close()

    def next_picture(self, number: int) -> bytes:
        """Return what is sent as picture `number`."""
        behaviour = self.behaviour
        good = self._pictures[0 if behaviour == "still" else number % len(self._pictures)]
        if behaviour == "noise":
            return good[:700] + os.urandom(len(good) // 2) + good[700 + len(good) // 2 :]
        if behaviour == "cut":
            return good[: len(good) // 3]
        if behaviour == "junk":
            return os.urandom(len(good))
        return self._small if behaviour == "small" else good


class _Connection:
    """Serves one plugging, in one thread."""

    def __init__(self, camera: UsbCamera, cable: socket.socket, told: dict[int, bytes]) -> None:
        self._camera, self._cable, self._descriptors = camera, cable, told
        self._probe = bytearray(
            PROBE.pack(1, 1, 1, USUAL_INTERVAL, 0, 0, 0, 0, 0, WIDTH * HEIGHT * 2, PAYLOAD)
        )
        self._transfers: deque[tuple[int, int]] = deque()  # that wait: number, most bytes
        self._payloads: Iterator[bytes] = iter(())
        self._due_at = 0.0
        self._numbers = itertools.count()

    def serve(self) -> None:
        """Answer until the cable is pulled."""
        while True:
            wait = None
            if self._transfers:
                wait = max(0.0, self._due_at - time.monotonic())
            if select.select([self._cable], [], [], wait)[0]:
                header = self._receive(HEADER_BYTES)
                if header is None:
                    return
                self._answer(header)
            try:
                self._stream()
            except BrokenPipeError:
                return

    def _receive(self, count: int) -> bytes | None:
        data = b""
        while len(data) < count:
            try:
                piece = self._cable.recv(count - len(data))
            except ConnectionResetError:
                return None
            if not piece:
                return None
            data += piece
        return data

    def _answer(self, header: bytes) -> None:
        command, number, _, inward, endpoint = BASIC.unpack_from(header)
        if command == UNLINK:
            (unlinked,) = struct.unpack_from(">I", header, BASIC.size)
            waiting = [transfer for transfer in self._transfers if transfer[0] == unlinked]
            for transfer in waiting:
                self._transfers.remove(transfer)
            self._send(UNLINKED, number, status=-errno.ECONNRESET if waiting else 0)
            return
        (length,) = struct.unpack_from(">I", header, BASIC.size + 4)
        if endpoint:
            self._transfers.append((number, length))
            return
        data = (self._receive(length) or b"") if not inward else b""
        answer = self._control(header[40:48], data)
        if answer is None:
            self._send(SUBMITTED, number, status=-errno.EPIPE)
        elif inward:
            self._send(SUBMITTED, number, answer[:length])
        else:
            self._send(SUBMITTED, number, length=length)

    def _control(self, setup: bytes, data: bytes) -> bytes | None:
        """Return the answer to a control request (USB 9.3, UVC 4.3.1); None refuses it."""
        kind, request, value, index, _ = struct.unpack("<BBHHH", setup)
        if kind == 0x80 and request == 6:
            what = value >> 8
            return STRINGS.get(value & 0xFF) if what == 3 else self._descriptors.get(what)
        if kind in (0x80, 0x81, 0x82):  # status, configuration, interface
            return {0: b"\0\0", 8: b"\1", 10: b"\0"}.get(request)
        if kind in (0x00, 0x01, 0x02):
            return b""
        if index & 0xFF != 1 or value >> 8 not in (1, 2):
            return None
        if kind == 0x21 and request == SET_CURRENT:
            self._probe[4:8] = _u32(max(INTERVALS[0], struct.unpack_from("<I", data, 4)[0]))
            self._payloads = iter(())  # a stream begins with a picture, not amid one
            return b""
        return {GET_LENGTH: _u16(PROBE.size), GET_INFO: b"\3"}.get(request, bytes(self._probe))

    def _stream(self) -> None:
        """Fill the transfers that wait, as far as the picture that is due goes."""
        while self._transfers:
            behaviour, now = self._camera.behaviour, time.monotonic()
            if behaviour in ("silent", "errors"):
                self._due_at = now + 0.05
                if behaviour == "errors":
                    self._send(SUBMITTED, self._transfers.popleft()[0], status=-errno.EPROTO)
                return
            payload = next(self._payloads, None)
            if payload is None:
                if now < self._due_at:
                    return
                (interval,) = struct.unpack_from("<I", self._probe, 4)
                self._due_at = max(self._due_at + interval * 1e-7, now)
                self._payloads = self._split(next(self._numbers))
                continue
            self._send(SUBMITTED, self._transfers.popleft()[0], payload)

    def _split(self, number: int) -> Iterator[bytes]:
        """Yield a picture as payloads, each with its header (UVC 2.4.3.3)."""
        picture = self._camera.next_picture(number)
        size = PAYLOAD - 2
        for start in range(0, len(picture), size):
            last = END_OF_FRAME if start + size >= len(picture) else 0
            yield bytes([2, END_OF_HEADER | last | number & 1]) + picture[start : start + size]

    def _send(
        self, command: int, number: int, data: bytes = b"", *, status: int = 0, length: int = 0
    ) -> None:
        header = BASIC.pack(command, number, 0, 0, 0) + struct.pack(
            ">5i8x", status, len(data) or length, 0, 0, 0
        )
        self._cable.sendall(header + data)
