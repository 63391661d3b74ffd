"""Home Assistant's MQTT discovery: what makes the camera's expression appear there by itself.

Format: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery. One message an entity,
which every release understands.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from emo_edge.tracking import UNCERTAIN
from emo_edge.version import __version__

PREFIX = "homeassistant"
NOBODY = "nobody"
ONLINE, OFFLINE = "online", "offline"


def discovery(topic: str, source: str, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return {topic: configuration} of the entities of one run.

    Identifiers depend on the topic prefix alone: a restart, another camera or another model keep
    the entities and their history.

    Args:
        topic: Prefix of the run's topics.
        source: Name of the source.
        labels: Of the model.
    """
    node = _identifier(topic)
    common: dict[str, Any] = {
        "availability_topic": f"{topic}/availability",
        "payload_available": ONLINE,
        "payload_not_available": OFFLINE,
        "device": {
            "identifiers": [node],
            "name": f"Facial expression ({topic.rsplit('/', 1)[-1]})",
            "manufacturer": "emo-toolkit",
            "model": f"emo-edge on {source}",
            "sw_version": __version__,
        },
        "origin": {"name": "emo-toolkit", "sw_version": __version__},
    }
    state = {"state_topic": f"{topic}/state"}
    health = {"state_topic": f"{topic}/health", "entity_category": "diagnostic"}
    entities: dict[str, tuple[str, dict[str, Any]]] = {
        "expression": ("sensor", {
            **state, "name": "Expression", "icon": "mdi:face-recognition",
            "device_class": "enum", "options": [*labels, UNCERTAIN, NOBODY],
            "value_template": "{{ value_json.label }}",
        }),
        "confidence": ("sensor", {
            **state, "name": "Confidence", "icon": "mdi:percent",
            "unit_of_measurement": "%", "state_class": "measurement",
            "value_template": "{{ (value_json.confidence * 100) | round(0)"
            " if value_json.confidence is not none else none }}",
        }),
        "faces": ("sensor", {
            **state, "name": "Faces", "icon": "mdi:account-multiple",
            "state_class": "measurement", "value_template": "{{ value_json.faces }}",
        }),
        "camera": ("binary_sensor", {
            **health, "name": "Camera", "device_class": "connectivity",
            "payload_on": "delivering", "payload_off": "lost",
            "value_template": "{{ value_json.camera }}",
        }),
    }  # fmt: skip
    return {
        f"{PREFIX}/{kind}/{node}/{name}/config": {
            **entity, **common, "unique_id": f"{node}_{name}",
        }
        for name, (kind, entity) in entities.items()
    }  # fmt: skip


def _identifier(topic: str) -> str:
    """Return a name of letters, digits and underscores that no other topic has."""
    readable = re.sub(r"[^a-zA-Z0-9]+", "_", topic).strip("_")[:40]
    return f"{readable}_{hashlib.sha256(topic.encode()).hexdigest()[:6]}"
