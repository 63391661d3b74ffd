"""The page's door: tokens, names, and HTTP that is bounded whatever a client sends."""

from __future__ import annotations

import http.client
import re
import socket
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.visiting import PATIENCE, Got, Visited, until_hung_up
from emo_edge.sinks.page import conversation, server
from running import wait_until

TOKEN = "only-for-this-test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PATHS = (
    "/", "/page.css", "/page.js", "/icon.svg", "/healthz", "/metrics", "/picture.jpg",
    "/snapshot.jpg", "/stream.mjpg", "/api/readings", "/api/classify",
)  # fmt: skip
POST = "POST /api/classify HTTP/1.1\r\nHost: localhost\r\n"
PUBLIC = ("/page.css", "/page.js", "/icon.svg")


@pytest.fixture(scope="module")
def visited() -> Iterator[Visited]:
    with Visited() as page:
        page.show()
        yield page


@pytest.fixture(scope="module")
def guarded() -> Iterator[Visited]:
    with Visited("0.0.0.0:0", TOKEN) as page:
        page.show()
        yield page


def status_of(answer: bytes) -> int:
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    assert match, answer[:80]
    return int(match[1])


def cookie_of(answer: Got) -> str:
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


# Who may pass -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(set(PATHS) - set(PUBLIC)))
def test_nothing_of_the_run_is_seen_without_the_token(guarded: Visited, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        answer = guarded.ask(path, "POST" if path == "/api/classify" else "GET", headers=headers)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_bearer_passes(guarded: Visited) -> None:
    assert guarded.ask("/metrics", headers=BEARER).status == 200


def test_the_address_with_the_token_leads_to_the_clean_one_with_a_cookie(guarded: Visited) -> None:
    answer = guarded.ask(f"/?token={TOKEN}")
    assert answer.status == 200 and b'content="0; url=/"' in answer.body
    for attribute in ("HttpOnly", "SameSite=Strict", "Path=/"):
        assert attribute in answer.headers["Set-Cookie"]
    assert TOKEN not in answer.headers["Set-Cookie"]
    cookie = cookie_of(answer)
    assert str(guarded.port) in cookie
    broken = f'other={{"json": "with, commas"}}; {cookie}; last'
    assert guarded.ask("/metrics", headers={"Cookie": broken}).status == 200
    assert guarded.ask("/metrics", headers={"Cookie": cookie + "0"}).status == 401


def test_a_wrong_token_in_the_address_is_told(guarded: Visited) -> None:
    answer = guarded.ask("/?token=wrong")
    assert answer.status == 401 and "Set-Cookie" not in answer.headers
    assert b'role="alert">That is not the token' in answer.body
    assert b'role="alert" hidden>' in guarded.ask("/").body


def test_the_token_opens_only_the_page_by_its_address(guarded: Visited) -> None:
    assert guarded.ask(f"/snapshot.jpg?token={TOKEN}").status == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.0.2.7:80", ""])
def test_loopback_answers_to_no_foreign_name(visited: Visited, host: str) -> None:
    assert visited.ask("/metrics", headers={"Host": host}).status == 421


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:8080", "LOCALHOST"])
def test_loopback_answers_to_its_own_names(visited: Visited, host: str) -> None:
    assert visited.ask("/metrics", headers={"Host": host}).status == 200


def test_without_a_token_an_open_page_still_refuses_foreign_names() -> None:
    with Visited("0.0.0.0:0") as page:
        assert page.ask("/metrics", headers={"Host": "evil.example"}).status == 421
        assert page.ask("/metrics", headers={"Host": "192.0.2.7:8080"}).status == 200
        assert page.ask("/metrics", headers={"Host": socket.gethostname()}).status == 200


def test_ipv6_and_ipv4_reach_the_same_page() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        page = Visited("[::]:0", TOKEN)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with page:
        assert page.ask("/metrics", headers=BEARER).status == 200
        with socket.create_connection(("::1", page.port), timeout=PATIENCE) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\nHost: [::1]\r\n\r\n")
            assert status_of(until_hung_up(connection)) == 401


# What every answer carries ------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/page.js", "/healthz", "/nothing", "/snapshot.jpg"])
def test_answers_carry_the_security_headers(visited: Visited, path: str) -> None:
    headers = visited.ask(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Server"] == "emo-edge"


def test_the_page_loads_nothing_from_elsewhere(visited: Visited) -> None:
    for path in ("/", "/page.css", "/page.js"):
        assert not re.search(rb"""https?://|["'(]//""", visited.ask(path).body), path


def test_a_file_that_a_browser_has_is_not_sent_again(visited: Visited) -> None:
    first = visited.ask("/page.css")
    again = visited.ask("/page.css", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    assert "no-store" in visited.ask("/metrics").headers["Cache-Control"]


# HTTP ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(set(PATHS) - {"/api/classify"}))
def test_head_is_get_without_the_content(visited: Visited, path: str) -> None:
    visited.show()
    answer = visited.ask(path, "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Type"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/", "GET, HEAD"),
        ("PUT", "/snapshot.jpg", "GET, HEAD"),
        ("DELETE", "/api/readings", "GET, HEAD"),
        ("OPTIONS", "/api/classify", "POST"),
        ("GET", "/api/classify", "POST"),
    ],
)
def test_other_methods_are_refused(visited: Visited, method: str, path: str, allowed: str) -> None:
    answer = visited.ask(path, method)
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/../page.py", "/..%2f..%2fetc/passwd", "/page.css/", "//etc/passwd", "/assets/",
     "/%2e%2e/pyproject.toml", "/index.html\\..\\page.py"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(visited: Visited, path: str) -> None:
    answer = visited.say(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert status_of(answer) == 404


def test_a_connection_serves_many_requests(visited: Visited) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", visited.port, timeout=PATIENCE)
    for path in ("/metrics", "/nothing", "/metrics", "/page.css", "/metrics"):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert not answer.will_close
    connection.close()


def test_pipelined_requests_are_answered_in_order(visited: Visited) -> None:
    one = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    two = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    found = re.findall(rb"HTTP/1\.1 (\d{3}) ", visited.say(one + two))
    assert found == [b"200", b"404"]


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        ("GET / HTTP/1.1\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n", 400),
        ("GET /\r\nHost: localhost\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: localhost\r\n", 505),
        ("GET / HTTP/x\r\nHost: localhost\r\n", 400),
        ("GET http://[bad HTTP/1.1\r\nHost: localhost\r\n", 400),
        ("FETCH / HTTP/1.1\r\nHost: localhost\r\n", 501),
        (POST + "Content-Length: 1\r\nContent-Length: 2\r\n", 400),
        (POST + "Content-Length: -1\r\n", 400),
        (POST + "Content-Length: +1\r\n", 400),
        (POST + f"Content-Length: {'9' * 5000}\r\n", 400),
        (POST + "Transfer-Encoding: chunked\r\n", 411),
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(
    visited: Visited, request_head: str, status: int
) -> None:
    assert status_of(visited.say(f"{request_head}\r\n".encode())) == status


@pytest.mark.parametrize(
    "flood",
    [b"GET /" + b"a" * 100_000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
     b"GET / HTTP/1.1\r\nHost: " + b"a" * 100_000],
)  # fmt: skip
def test_a_head_without_end_is_refused(visited: Visited, flood: bytes) -> None:
    assert status_of(visited.say(flood)) in (414, 431)


def test_a_client_that_dawdles_is_let_go(visited: Visited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "HEAD_SECONDS", 0.6)
    with visited.connect() as connection:
        hung_up = threading.Event()
        sender = threading.Thread(target=_trickle, args=(connection, hung_up), daemon=True)
        sender.start()
        assert until_hung_up(connection) == b""
        hung_up.set()
        sender.join()


def _trickle(connection: socket.socket, hung_up: threading.Event) -> None:
    """Send a byte of a head now and then, as slowloris does: no read ever times out."""
    for _ in range(200):
        if hung_up.wait(0.1):
            return
        try:
            connection.sendall(b"X")
        except OSError:
            return
    pytest.fail("nobody hung up")


def test_so_many_clients_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CLIENTS", 3)
    with Visited() as page:
        idle = [page.connect() for _ in range(3)]
        wait_until(
            lambda: b" 503 " in page.say(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        )
        for connection in idle:
            connection.close()
        wait_until(lambda: _answers(page))


def _answers(page: Visited) -> bool:
    try:
        return page.ask("/metrics").status == 200
    except (OSError, http.client.HTTPException):  # it refuses without reading on
        return False


def test_closing_ends_every_conversation_and_thread() -> None:
    before = set(threading.enumerate())
    with Visited() as page:
        page.show()
        idle, streaming = page.connect(), page.connect()
        streaming.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert streaming.recv(9) == b"HTTP/1.1 "
    until_hung_up(streaming)
    assert until_hung_up(idle) == b""
    wait_until(lambda: set(threading.enumerate()) <= before)
    idle.close()
    streaming.close()


@pytest.mark.parametrize("unsaid", [b"x" * 300_000, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_viewer_that_leaves_with_something_unheard_is_noticed(
    visited: Visited, unsaid: bytes
) -> None:
    with visited.connect() as connection:
        length = f"Content-Length: {len(unsaid)}".encode()
        head = b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n" + length + b"\r\n\r\n"
        connection.sendall(head + unsaid)
        connection.shutdown(socket.SHUT_WR)
        assert status_of(until_hung_up(connection)) == 200


# Whatever a client sends --------------------------------------------------------------------------

LINE = st.text(st.characters(codec="latin-1"), max_size=60)
HEAD = st.builds(
    lambda verb, path, version, lines: "\r\n".join([f"{verb} {path} {version}", *lines, "", ""]),
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS", "get", ""]) | LINE,
    st.sampled_from(PATHS) | LINE.map(lambda text: f"/{text}"),
    st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/0.9", ""]) | LINE,
    st.lists(
        st.sampled_from(
            ["Host: localhost", "Connection: close", "Content-Length: 3", "Expect: 100-continue",
             "Content-Type: image/png", "Cookie: =;=;", "If-None-Match: *", "Authorization: Bearer"]
        ) | st.builds("{}: {}".format, LINE, LINE) | LINE,
        max_size=6,
    ),
).map(lambda text: text.encode("latin-1"))  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=HEAD | st.binary(max_size=200), body=st.binary(max_size=40))
def test_no_request_makes_a_traceback_or_a_hang(
    visited: Visited, head: bytes, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with visited.connect() as connection:
        connection.sendall(head + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while b"\r\n\r\n" not in answer and (part := connection.recv(4096)):
            answer += part
    assert not answer or status_of(answer) != 500
    sys.stderr.flush()
    assert "Traceback" not in capsys.readouterr().err
    assert visited.ask("/metrics").status == 200
