"""What `--serve` and its companions ask for, before anything heavy is loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass

from emo_edge.errors import UsageError
from emo_edge.sinks.page.access import choose_token
from emo_edge.sinks.page.address import Address, parse_address

TOKEN_VARIABLE = "EMO_TOKEN"


@dataclass(frozen=True)
class Serving:
    """Where and to whom the page is served.

    Attributes:
        address: Where to listen.
        token: What visitors must show; None if nothing.
        model: Name of the model, for people.
    """

    address: Address
    token: str | None
    model: str

    @property
    def open_to_all(self) -> bool:
        """Whether whoever is in the network can look."""
        return self.token is None and not self.address.loopback


def serving(serve: str | None, token: str | None, without: bool, model: str) -> Serving | None:
    """Return what the options ask for, None without --serve.

    Raises:
        OutputError: nobody knows the host to listen at.
        UsageError: the options cannot be, or contradict each other.
    """
    if serve is None:
        if token is not None or without:
            raise UsageError("--serve-token and --serve-without-token go with --serve")
        return None
    address = parse_address(serve)
    fixed = token if token is not None else os.environ.get(TOKEN_VARIABLE) or None
    return Serving(address, choose_token(address, fixed, without), model)
