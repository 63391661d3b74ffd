"""systemd's notification socket (sd_notify(3)): one datagram a message, no library.

Where there is no such socket, which is everywhere but in a service of Type=notify, nothing happens.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from emo_edge.messages import warn

SOCKET, WATCHDOG_USEC, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
STATUS_SECONDS = 10.0


class Notifier:
    """Tells systemd that the loop turns; `beat` is called by the loop and by nothing else.

    Args:
        status: Returns one line for `systemctl status`.
        environ: Where systemd left the address; it is taken out, so that no child inherits it.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        status: Callable[[], str],
        environ: MutableMapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._status, self._clock = status, clock
        address = environ.pop(SOCKET, "")
        self._watchdog_seconds = _watchdog_seconds(environ)
        self._socket = _connected(address) if address else None
        self._ready = self._failed = False
        self._watchdog_due = self._status_due = clock()

    def beat(self) -> None:
        """Say that the loop turns: ready at the first call, then as often as systemd wants it."""
        if self._socket is None:
            return
        now = self._clock()
        lines = [] if self._ready else ["READY=1"]
        if self._watchdog_seconds and now >= self._watchdog_due:
            lines.append("WATCHDOG=1")
        if now >= self._status_due:
            lines.append(f"STATUS={self._status()}")
        if not lines or not self._send(lines):
            return
        self._ready = True
        # Half the time, as sd_watchdog_enabled(3) advises.
        if self._watchdog_seconds and now >= self._watchdog_due:
            self._watchdog_due = now + self._watchdog_seconds / 2
        if now >= self._status_due:
            self._status_due = now + STATUS_SECONDS

    def close(self) -> None:
        """Say that the loop ends on purpose."""
        if self._socket is not None:
            self._send(["STOPPING=1"])
            self._socket.close()
            self._socket = None

    def _send(self, lines: list[str]) -> bool:
        """Send without waiting; what could not be sent is tried again with the next beat."""
        assert self._socket is not None
        try:
            self._socket.send(
                "\n".join(lines).encode(errors="backslashreplace"), socket.MSG_DONTWAIT
            )
        except BlockingIOError:  # systemd is busy
            return False
        except OSError as error:
            if not self._failed:
                warn(f"systemd cannot be told how the loop fares: {error.strerror}")
            self._failed = True
            return False
        self._failed = False
        return True


def status_line(snapshot: Mapping[str, Any]) -> str:
    """Return one line about a run from `Health.snapshot`."""
    source, loop, board = (snapshot[part] for part in ("source", "loop", "board"))
    failing = [name for name, sink in snapshot["sinks"].items() if sink["state"] == "failing"]
    parts = [
        f"{source['name']} {source['state']}",
        f"{loop['fps']:.1f} frames/s, {loop['faces']} face(s)",
        f"{board['celsius']:.0f} C" if board and board["celsius"] is not None else "",
        f"slowed down (level {board['level']})" if board and board["level"] else "",
        f"failing: {', '.join(failing)}" if failing else "",
    ]
    return ", ".join(" ".join(part.split()) for part in parts if part)


def _connected(address: str) -> socket.socket | None:
    """Return a socket to a path, or to a name in the abstract namespace ("@..."); None warns."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        connection.connect("\0" + address[1:] if address[0] == "@" else address)
    except OSError as error:  # left over from another service
        connection.close()
        warn(f"nobody listens at {SOCKET} {address}: {error.strerror or error}")
        return None
    return connection


def _watchdog_seconds(environ: MutableMapping[str, str]) -> float:
    """Return within how many seconds systemd wants a sign of life; 0 if it does not."""
    microseconds, process = environ.pop(WATCHDOG_USEC, ""), environ.pop(WATCHDOG_PID, "")
    if process not in ("", str(os.getpid())):  # meant for a parent
        return 0.0
    return int(microseconds) / 1e6 if microseconds.isdigit() else 0.0
