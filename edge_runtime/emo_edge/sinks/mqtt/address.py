"""Where the broker is, from one URL; the password stays out of everything that is shown."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from emo_edge.artifacts import read_at_most
from emo_edge.errors import UsageError

FORM = "--mqtt takes mqtt://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC], or mqtts:// for TLS"
PORTS = {"mqtt": 1883, "mqtts": 8883}
PASSWORD = "EMO_MQTT_PASSWORD"
MAX_PASSWORD_BYTES = 1 << 16


@dataclass(frozen=True)
class Address:
    """A broker and the topic below which everything is published.

    Attributes:
        host, port: Of the broker.
        tls: Whether the connection is encrypted, the broker's certificate checked.
        topic: Prefix of the topics, without a slash at its ends.
        user, password: Credentials, None for none; the password is not part of `repr`.
        authorities: PEM file of the certificate authorities; None for the system's.
    """

    host: str
    port: int
    tls: bool
    topic: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    authorities: Path | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_address(
    url: str, password_file: Path | None = None, authorities: Path | None = None
) -> Address:
    """Return the address in `url`.

    A password is looked for in the URL (where `ps` shows it to everyone), in `password_file`, and
    in the environment's EMO_MQTT_PASSWORD. Raises `UsageError`, which never repeats the URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError(FORM) from None
    if parts.scheme not in PORTS or not parts.hostname or "?" in url or "#" in url:
        raise UsageError(FORM)
    if not _encodes(parts.hostname, "idna"):
        raise UsageError("the host of --mqtt is no name of a host")
    topic = unquote(parts.path).strip("/") or f"emo-edge/{os.uname().nodename}"
    if any(sign in topic for sign in "+#\0") or len(topic.encode(errors="replace")) > 1000:
        raise UsageError("the topic of --mqtt must not hold +, # or NUL, nor be over 1000 bytes")
    tls = parts.scheme == "mqtts"
    if authorities is not None and not tls:
        raise UsageError("--mqtt-ca needs a broker with TLS: mqtts://")
    if authorities is not None and not authorities.is_file():
        raise UsageError(f"cannot read --mqtt-ca {authorities}: no such file")
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else _kept_password(password_file)
    if password is not None and user is None:
        raise UsageError("the MQTT password needs a user: mqtt://USER@HOST")
    for part, text in {"topic": topic, "user": user or "", "password": password or ""}.items():
        if not _encodes(text, "utf-8"):
            raise UsageError(f"the {part} of --mqtt is not UTF-8")
    address = (parts.hostname, port or PORTS[parts.scheme], tls, topic)
    return Address(*address, user, password, authorities)


def _encodes(text: str, encoding: str) -> bool:
    """Whether a text can be sent; what cannot would end a thread of paho's."""
    try:
        text.encode(encoding)
    except UnicodeError:
        return False
    return True


def _kept_password(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(PASSWORD)
    try:
        return read_at_most(file, MAX_PASSWORD_BYTES).decode("utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read --mqtt-password-file {file}: {error}") from None
