"""Where the page listens and whom it lets in: the options, through the command."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from edge_runtime.drawn import INT8, save, scene
from emo_edge.cli import app
from emo_edge.errors import UsageError
from emo_edge.sinks.page.address import parse_address
from emo_edge.sinks.page.serving import Serving, serving
from running import Outcome, assert_refused, call

TOKEN = "only-for-this-test"


def serve(folder: Path, *options: str) -> Outcome:
    picture = save(folder / "happy.png", scene("happy")[0])
    return call(app, "--model", INT8, "--detector", "haar", "--source", picture, *options)


def asked(where: str, token: str | None = None, *, without: bool = False) -> Serving:
    found = serving(where, token, without, "small")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8080", "127.0.0.1", 8080),
        ("localhost:80", "localhost", 80),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("[::1]:8080", "::1", 8080),
        ("[::]:65535", "::", 65535),
    ],
)
def test_addresses_are_read(text: str, host: str, port: int) -> None:
    address = parse_address(text)
    assert (address.host, address.port) == (host, port)
    assert address.loopback == (host in ("127.0.0.1", "localhost", "::1"))


@pytest.mark.parametrize(
    "text",
    ["", "http://0.0.0.0:80", ":8080", "::1:8080", "65536", "8080/", "host:", "a b:1", "[x]:80"],
)
def test_what_is_no_address_is_refused(tmp_path: Path, text: str) -> None:
    assert_refused(serve(tmp_path, "--serve", text), 2, "[HOST:]PORT")


def test_a_host_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    outcome = serve(tmp_path, "--serve", "no-such-host.invalid:8080")
    assert_refused(outcome, 8, "no-such-host.invalid")  # which a service tries again
    assert_refused(serve(tmp_path, "--serve", "no..host:8080"), 2, "no..host")


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert_refused(serve(tmp_path, "--serve", str(port)), 8, str(port), "another program")


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    outcome = serve(tmp_path, "--serve", "192.0.2.7:8080", "--serve-without-token")
    assert_refused(outcome, 8, "192.0.2.7", "no such address")


@pytest.mark.skipif(
    os.geteuid() == 0 or Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text() < "81",
    reason="this user may listen on ports below 1024",
)
def test_a_port_for_root_is_refused(tmp_path: Path) -> None:
    assert_refused(serve(tmp_path, "--serve", "80"), 8, "1024")


def test_loopback_wants_no_token_unless_one_is_given() -> None:
    assert asked("8080").token is None
    assert asked("8080", TOKEN).token == TOKEN


def test_beyond_loopback_a_token_is_generated_and_never_twice() -> None:
    first, second = asked("0.0.0.0:8080").token, asked("[::]:8080").token
    assert first and second and first != second
    assert len(first) >= 32


def test_the_token_can_be_switched_off_in_words() -> None:
    quiet = asked("0.0.0.0:8080", without=True)
    assert quiet.token is None and quiet.open_to_all


def test_the_environment_fixes_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMO_TOKEN", TOKEN)
    assert asked("0.0.0.0:8080").token == TOKEN
    assert serving(None, None, False, "small") is None


@pytest.mark.parametrize(
    "token", ["", "short", "not-in-ASCII-\u00e9\u00e9\u00e9\u00e9", "line\nbreak-line-break"]
)
def test_a_token_that_keeps_nobody_out_is_refused(token: str) -> None:
    with pytest.raises(UsageError, match="16 or more"):
        asked("0.0.0.0:8080", token)


def test_contradicting_options_are_refused(tmp_path: Path) -> None:
    assert_refused(serve(tmp_path, "--serve-without-token"), 2, "--serve")
    both = ("--serve", "0", "--serve-token", TOKEN, "--serve-without-token")
    assert_refused(serve(tmp_path, *both), 2, "contradict")


def test_the_address_to_open_is_printed_with_the_token(tmp_path: Path) -> None:
    done = serve(tmp_path, "--serve", "0.0.0.0:0", "--serve-token", TOKEN)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("page: ")]
    assert line.endswith(f"/?token={TOKEN}") and "0.0.0.0" not in line
    assert TOKEN not in done.stdout


def test_a_page_that_is_open_to_all_says_so(tmp_path: Path) -> None:
    done = serve(tmp_path, "--serve", "0.0.0.0:0", "--serve-without-token")
    assert "warning: the page is open to whoever is in the network" in done.stderr
