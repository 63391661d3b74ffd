"""Where the page listens: `[HOST:]PORT`, loopback unless a host is named."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

from emo_edge.errors import OutputError, UsageError

LOOPBACK = "127.0.0.1"
# An address that nobody has (RFC 5737): asking for the way to it sends nothing.
NOWHERE = ("192.0.2.1", 9)


@dataclass(frozen=True)
class Address:
    """A place to listen.

    Attributes:
        host: As the user gave it, without brackets.
        port: 0 to 65535; 0 lets the system choose.
        family: `socket.AF_INET` or `socket.AF_INET6`.
        ip: What `host` resolved to.
    """

    host: str
    port: int
    family: socket.AddressFamily
    ip: str

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.ip).is_loopback

    @property
    def everywhere(self) -> bool:
        """Whether it means every address of this machine."""
        return ipaddress.ip_address(self.ip).is_unspecified

    def url(self, port: int) -> str:
        """Return what to open in a browser, from another machine where that is possible."""
        host = _outward() if self.everywhere else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def parse_address(text: str) -> Address:
    """Read "8080", "host:8080", "0.0.0.0:8080" or "[::]:8080".

    Raises:
        OutputError: nobody knows the host, which may change: a name server is not there yet.
        UsageError: that is no address.
    """
    match = re.fullmatch(r"(?:(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/]+)):)?([0-9]{1,5})", text)
    if match is None or int(match[3]) > 65535:
        raise UsageError(
            f"--serve wants [HOST:]PORT, not {text!r}: 8080 for this machine alone, "
            "0.0.0.0:8080 for every network it is in"
        )
    host, port = match[1] or match[2] or LOOPBACK, int(match[3])
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise OutputError(f"--serve: this machine does not know the host {host!r}") from error
    except UnicodeError as error:  # no name server can be asked for it
        raise UsageError(f"--serve: {host!r} is no name of a host") from error
    # "localhost" is both ::1 and 127.0.0.1: what people type is the latter.
    family, _, _, _, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return Address(host, port, family, str(where[0]).partition("%")[0])


def _outward() -> str:
    """Return the address by which the network knows this machine, else its name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(NOWHERE)
        except OSError:  # no network yet
            return socket.gethostname()
        return str(probe.getsockname()[0])
