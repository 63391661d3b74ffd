"""Who may see the page: a token beyond loopback, and no foreign names on loopback."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
from typing import TYPE_CHECKING

from emo_edge.errors import UsageError
from emo_edge.sinks.page.address import Address

if TYPE_CHECKING:
    from email.message import Message

LEAST_TOKEN = 16  # characters; a generated one has 32
COOKIE_SECONDS = 30 * 24 * 3600


def choose_token(address: Address, fixed: str | None, without: bool) -> str | None:
    """Return the token that visitors must show, None where none is wanted.

    Args:
        address: Where the page listens.
        fixed: The user's own token, wanted on loopback too.
        without: The user switched the token off in words.

    Raises:
        UsageError: the two contradict each other, or the token is too short to keep anyone out.
    """
    if fixed is not None and without:
        raise UsageError("a token and --serve-without-token contradict each other: leave one out")
    if fixed is not None:
        if len(fixed) < LEAST_TOKEN or not fixed.isascii() or not fixed.isprintable():
            raise UsageError(
                f"the page's token needs {LEAST_TOKEN} or more ASCII characters; "
                "left out, one is generated"
            )
        return fixed
    return None if without or address.loopback else secrets.token_urlsafe(24)


class Access:
    """Decides whether a request may pass.

    Without a token the name in the Host header must be one of this machine's: else any page on the
    internet could have its own name resolve to this address and read ours (DNS rebinding). With
    one, the cookie belongs to the name under which it was set, so the name does not matter.

    Args:
        address: Where the page listens.
        port: The port that it got.
        token: What visitors must show, None if nothing.
    """

    def __init__(self, address: Address, port: int, token: str | None) -> None:
        self._token = token
        self._local_only = address.loopback
        name = socket.gethostname().lower()
        self._names = {"localhost", address.host.lower(), name, f"{name}.local"}
        # Cookies do not know ports: two pages on one machine must not overwrite each other's.
        self._cookie = f"emo-token-{port}"
        # The cookie holds a digest: whatever the token's characters, and not the token itself.
        self._proof = hashlib.sha256((token or "").encode()).hexdigest()

    def knows_host(self, host: str) -> bool:
        """Whether a Host header may be answered."""
        if self._token is not None:
            return True
        name = _without_port(host).lower()
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return address.is_loopback or not self._local_only

    def admits(self, headers: Message) -> bool:
        """Whether the headers show the token, as a bearer's or as the cookie's."""
        if self._token is None:
            return True
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        return (scheme.lower() == "bearer" and self.right(given.strip())) or _same(
            self._in_cookie(headers.get("Cookie", "")), self._proof
        )

    def right(self, token: str) -> bool:
        """Whether a token is the right one; takes the same time whatever part of it is."""
        return self._token is not None and _same(token, self._token)

    def cookie(self) -> str:
        """Return the Set-Cookie header that spares a browser the token from now on."""
        return (
            f"{self._cookie}={self._proof}; Path=/; Max-Age={COOKIE_SECONDS}; "
            "HttpOnly; SameSite=Strict"
        )

    def _in_cookie(self, header: str) -> str:
        # By hand: SimpleCookie drops all cookies when another program's is malformed.
        pairs = (pair.strip().partition("=") for pair in header.split(";"))
        return next((value for name, _, value in pairs if name == self._cookie), "")


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


def _without_port(host: str) -> str:
    """Return the name of "name:8080", "[::1]:8080" or either without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
