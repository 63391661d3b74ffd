"""The MQTT sink: state on change, health now and then, availability always."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from emo_edge.commands import require_extra
from emo_edge.health import Health
from emo_edge.pipeline import Reading
from emo_edge.sinks.isolation import Report
from emo_edge.sinks.mqtt.address import Address
from emo_edge.sinks.mqtt.digest import Digest
from emo_edge.sinks.mqtt.homeassistant import discovery
from emo_edge.sources.frame import Frame

LOOK_SECONDS = 1.0
HEALTH_SECONDS = 30.0


class Mqtt:
    """Publishes to a broker, below the address's topic; docs/outputs.md says what.

    A thread looks after the health of the run, because no frames come from a lost camera.

    Args:
        address: Of the broker.
        source: Name of the source.
        labels: Of the model.
        health: Is published; its sink "mqtt" is told how the connection fares.

    Raises:
        UsageError: the extra [mqtt] is not installed, or the certificates cannot be used.
    """

    def __init__(
        self, address: Address, source: str, labels: Sequence[str], health: Health
    ) -> None:
        require_extra("mqtt", "paho")
        from emo_edge.sinks.mqtt.connection import Connection

        self._health = health
        self._digest = Digest()
        self._lock = threading.Lock()
        announcements = discovery(address.topic, source, labels)
        self._connection = Connection(address, announcements, Report("mqtt", health))
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="mqtt-health", daemon=True)
        self._thread.start()

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Publish the state, if it is due."""
        with self._lock:
            self._publish_state(self._digest(frame, readings))

    def close(self) -> None:
        """Publish that nobody is seen any more, say "offline" and end the connection."""
        self._closing.set()
        self._thread.join()
        with self._lock:
            self._publish_state(self._digest.nobody())
        self._connection.close()

    def _publish_state(self, state: dict[str, Any] | None) -> None:
        if state is not None:
            self._connection.publish("state", state)

    def _look_after(self) -> None:
        before, rest = "", 0.0
        while True:
            said = self._health.snapshot()
            camera = said["source"]["state"]
            if camera != before or rest <= 0:
                self._connection.publish("health", _vital(said))
                before, rest = camera, HEALTH_SECONDS
            if camera == "lost":
                with self._lock:
                    self._publish_state(self._digest.nobody())
            if self._closing.wait(LOOK_SECONDS):
                return
            rest -= LOOK_SECONDS


def _vital(said: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a health snapshot that is worth a message."""
    return {
        "camera": "delivering" if said["source"]["state"] == "delivering" else "lost",
        "reopened": said["source"]["reopened"],
        "uptime": round(said["uptime"]),
        "fps": said["loop"]["fps"],
        "age_ms": said["loop"]["age_ms"]["p50"],
        "celsius": (said["board"] or {}).get("celsius"),
        "failing": [name for name, sink in said["sinks"].items() if sink["state"] == "failing"],
    }
