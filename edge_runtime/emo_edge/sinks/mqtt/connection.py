"""A connection to a broker that is there, or not, or comes back: messages wait, within bounds."""

from __future__ import annotations

import json
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emo_edge.errors import UsageError
from emo_edge.sinks.isolation import Report
from emo_edge.sinks.mqtt.address import Address
from emo_edge.sinks.mqtt.homeassistant import OFFLINE, ONLINE

if TYPE_CHECKING:
    from paho.mqtt.client import Client

BUFFER = 256  # messages, about 200 kB: some minutes of a lively scene
IN_FLIGHT = 10
FIRST_WAIT, LONGEST_WAIT = 1, 60
CONNECT_SECONDS = 3.0
KEEPALIVE_SECONDS = 30
GOODBYE_SECONDS = 3.0


class Connection:
    """Publishes retained JSON below a topic; `publish` never waits for the broker.

    While the broker is away messages wait; beyond `BUFFER` the oldest goes and is counted. After
    every connection the announcements are made again: a broker may have forgotten them. The will
    says "offline" in the place of a process that was killed.

    Two threads: paho's owns the network, and this one's hands it the messages. paho's callbacks
    only set flags, because paho calls them while it holds the locks that publishing needs.

    Args:
        address: Of the broker.
        announcements: {whole topic: content}.
        report: Is told how it fares, in messages.
    """

    def __init__(self, address: Address, announcements: Mapping[str, Any], report: Report) -> None:
        self._address, self._report = address, report
        self._availability = f"{address.topic}/availability"
        self._greeting = [(topic, _json(content)) for topic, content in announcements.items()]
        self._greeting.append((self._availability, ONLINE))
        self._waiting: deque[tuple[str, str]] = deque()
        self._lock = threading.Lock()  # of what waits
        self._acknowledged: deque[int] = deque()
        self._sent: set[int] = set()
        self._greeted: set[int] = set()
        self._wake = threading.Event()
        self._connected = self._new = self._ending = False
        self._client = _client(address)
        self._client.will_set(self._availability, OFFLINE, qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.connect_async(address.host, address.port, KEEPALIVE_SECONDS)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._hand_over, name="mqtt-out", daemon=True)
        self._thread.start()

    def publish(self, name: str, content: Mapping[str, Any]) -> None:
        """Let one message follow those that wait."""
        message = f"{self._address.topic}/{name}", _json(content)
        with self._lock:
            full = len(self._waiting) == BUFFER
            if full:
                self._waiting.popleft()
            self._waiting.append(message)
        if full:
            self._report.dropped()
        self._wake.set()

    def close(self) -> None:
        """Deliver what waits, say "offline" and end the connection, within some seconds."""
        deadline = time.monotonic() + GOODBYE_SECONDS
        self._settle(deadline)
        self._ending = True
        self._wake.set()
        self._thread.join()
        left = len(self._waiting) + len(self._sent)
        if left:
            self._report.dropped(left)
            if not self._report.failing:  # else the reason is known
                self._report.failed(f"{self._address}: does not acknowledge")
        if self._connected:
            self._sent = {self._send(self._availability, OFFLINE)}
            self._settle(deadline)
        self._client.on_disconnect = None
        self._client.disconnect()
        # It may hang in a name server: then the process ends without it.
        last = threading.Thread(target=self._client.loop_stop, name="mqtt-end", daemon=True)
        last.start()
        last.join(max(0.5, deadline - time.monotonic()))

    def _settle(self, deadline: float) -> None:
        """Wait until all is delivered, the broker is known to be away, or the time is up."""
        while time.monotonic() < deadline and not self._report.failing:
            if self._ending:  # the thread has ended
                self._count_delivered()
            if not self._waiting and not self._sent:
                return
            time.sleep(0.02)

    def _hand_over(self) -> None:
        while not self._ending:
            self._wake.wait()
            self._wake.clear()
            self._count_delivered()
            if not self._connected:
                continue
            if self._new and not self._greeted:
                self._new = False
                self._greeted = {self._send(*message) for message in self._greeting}
            while len(self._sent) < IN_FLIGHT and (message := self._next()) is not None:
                self._sent.add(self._send(*message))

    def _next(self) -> tuple[str, str] | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _send(self, topic: str, text: str) -> int:
        # Until it is acknowledged paho keeps it, and sends it again after a new connection.
        return self._client.publish(topic, text, qos=1, retain=True).mid

    def _count_delivered(self) -> None:
        while self._acknowledged:
            mid = self._acknowledged.popleft()
            self._greeted.discard(mid)
            if mid in self._sent:
                self._sent.remove(mid)
                self._report.written()

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        if code.is_failure:
            self._report.failed(f"{self._address}: {code}")
            return
        self._connected = self._new = True
        self._wake.set()
        self._report.works()

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        # paho calls this while it handles the error, and gives no other account of it.
        error = sys.exc_info()[1]
        self._report.failed(f"{self._address}: {getattr(error, 'strerror', None) or error}")

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: Any, code: Any, _more: Any
    ) -> None:
        self._connected = False
        self._report.failed(f"{self._address}: connection lost ({code})")

    def _on_publish(self, _client: Client, _data: Any, mid: int, _code: Any, _more: Any) -> None:
        self._acknowledged.append(mid)
        self._wake.set()


def _client(address: Address) -> Client:
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    # Two runs of one name would throw each other out for ever.
    client = Client(CallbackAPIVersion.VERSION2, client_id=f"emo-edge-{secrets.token_hex(4)}")
    client.reconnect_delay_set(FIRST_WAIT, LONGEST_WAIT)
    client.connect_timeout = CONNECT_SECONDS
    if address.user is not None:
        client.username_pw_set(address.user, address.password)
    if address.tls:
        try:
            client.tls_set(ca_certs=str(address.authorities) if address.authorities else None)
        except OSError as error:  # ssl's errors too
            raise UsageError(
                f"cannot use --mqtt-ca {address.authorities}: {error.strerror or error}"
            ) from error
    return client


def _json(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    # The name of a file need not be UTF-8, and a message must be; JSON knows the escapes.
    return text.encode("utf-8", "backslashreplace").decode()
