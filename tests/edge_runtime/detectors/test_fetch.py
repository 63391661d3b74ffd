"""`emo-edge fetch-detector` against a real HTTP server on loopback; never the internet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from emo_edge.artifacts import sha256
from emo_edge.cli import app
from emo_edge.detectors import fetch
from emo_edge.detectors.fetch import YUNET_NAME, YUNET_URL, fetch_yunet, yunet_path
from emo_edge.errors import EmoError

# A stand-in for the real file: these tests are about its way here, not about faces.
GOOD = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(fetch, "YUNET_SHA256", sha256(GOOD))
    monkeypatch.setattr(fetch, "YUNET_BYTES", len(GOOD))
    monkeypatch.setattr(fetch, "SILENCE_SECONDS", 0.3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "emo-toolkit"


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[str] = []
        self.closing = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error."""


class Answers(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        getattr(self, self.path.strip("/").replace("-", "_"))()

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def give(self, content: bytes, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def good(self) -> None:
        self.give(GOOD)

    def moved(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/good")
        self.end_headers()

    def moved_to_file(self) -> None:
        self.send_response(302)
        self.send_header("Location", "file:///etc/hostname")
        self.end_headers()

    def other(self) -> None:
        self.give(GOOD[::-1])

    def short(self) -> None:
        self.give(GOOD[:5000], len(GOOD))

    def unannounced_short(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(GOOD[:5000])

    def longer(self) -> None:
        self.give(GOOD + b"!")

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.server.closing.is_set():
            self.wfile.write(bytes(1 << 16))

    def missing(self) -> None:
        self.send_error(404)

    def hanging(self) -> None:
        self.server.closing.wait(60)

    def stalling(self) -> None:
        self.give(GOOD[:5000], len(GOOD))
        self.server.closing.wait(60)

    def dripping(self) -> None:
        self.give(b"", len(GOOD))
        while not self.server.closing.is_set():
            self.wfile.write(b".")
            time.sleep(0.01)

    def not_http(self) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH\r\n")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        yield running
        running.closing.set()
        running.shutdown()


def command(origin: object) -> Result:
    return CliRunner().invoke(app, ["fetch-detector", "--from", str(origin)])


def assert_refused(result: Result, code: int, words: str, cache: Path) -> None:
    assert result.exit_code == code, (result.stderr, result.exception)
    assert words in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert result.stdout == ""
    assert not list(cache.glob("*")) and not list(cache.glob(".*")), "something was kept"


@pytest.mark.parametrize("path", ["good", "moved"])
def test_the_file_is_downloaded_once(server: Server, cache: Path, path: str) -> None:
    result = command(server.url(path))
    assert result.exit_code == 0, result.stderr
    assert (cache / YUNET_NAME).read_bytes() == GOOD
    assert [kept.name for kept in cache.iterdir()] == [YUNET_NAME]
    assert "fetched, checksum right" in result.stderr
    asked = list(server.asked)
    again = command(server.url(path))
    assert (again.exit_code, server.asked) == (0, asked)
    assert "there already, checksum right" in again.stderr


REFUSED = {
    "other": (4, "has another SHA-256"),
    "short": (4, f"gave 5000 of {len(GOOD)} bytes"),
    "unannounced-short": (4, f"gave 5000 of {len(GOOD)} bytes"),
    "longer": (4, "is larger than"),
    "endless": (4, "is larger than"),
    "missing": (5, "404"),
    "hanging": (5, "timed out"),
    "stalling": (5, "timed out"),
    "not-http": (5, "cannot fetch"),
    "moved-to-file": (5, "cannot fetch"),
}


@pytest.mark.parametrize("path", REFUSED)
def test_a_download_that_goes_wrong_is_refused_and_nothing_is_kept(
    server: Server, cache: Path, path: str
) -> None:
    code, words = REFUSED[path]
    assert_refused(command(server.url(path)), code, words, cache)


def test_a_server_that_drips_forever_is_given_up(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "DOWNLOAD_SECONDS", 0.3)
    assert_refused(command(server.url("dripping")), 5, "too slow", cache)


def test_a_board_without_internet_is_told_of_the_other_way(server: Server, cache: Path) -> None:
    server.shutdown()
    server.server_close()
    result = command(server.url("good"))
    assert_refused(result, 5, "emo-edge fetch-detector --from FILE", cache)
    assert YUNET_URL in result.stderr


@pytest.mark.parametrize("as_url", [False, True])
def test_a_file_is_taken_by_path_or_url(tmp_path: Path, cache: Path, as_url: bool) -> None:
    stick = tmp_path / "usb stick" / "yunet.onnx"
    stick.parent.mkdir()
    stick.write_bytes(GOOD)
    assert command(stick.as_uri() if as_url else stick).exit_code == 0
    assert (cache / YUNET_NAME).read_bytes() == GOOD


ORIGINS: dict[str, tuple[Callable[[Path], str], int, str]] = {
    "no file": (lambda d: str(d / "gone.onnx"), 5, "No such file"),
    "no file URL": (lambda d: (d / "gone.onnx").as_uri(), 5, "No such file"),
    "folder": (str, 5, "Is a directory"),
    "endless file": (lambda _: "/dev/zero", 4, "is larger than"),
    "empty file": (lambda _: "/dev/null", 4, "gave 0 of"),
    "empty": (lambda _: "", 2, "--from is empty"),
    "ftp": (lambda _: "ftp://example.invalid/x", 2, "http:, https: or file:"),
    "no host": (lambda _: "http://", 5, "no host given"),
    "bad port": (lambda _: "http://localhost:port/", 5, "nonnumeric port"),
    "bad address": (lambda _: "http://[::1/", 5, "cannot fetch"),
    "zero": (lambda _: "a\0b", 5, "null"),
}


@pytest.mark.parametrize("case", ORIGINS)
def test_an_origin_that_cannot_be_used_is_refused(tmp_path: Path, cache: Path, case: str) -> None:
    origin, code, words = ORIGINS[case]
    assert_refused(command(origin(tmp_path)), code, words, cache)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text().filter(lambda text: "://" not in text) | st.text().map("http://[".__add__))
def test_any_text_is_fetched_or_refused_in_one_line(cache: Path, origin: str) -> None:
    with pytest.raises(EmoError):
        fetch_yunet(origin)
    assert not yunet_path().exists()


def test_a_damaged_file_is_fetched_again_and_stays_if_that_fails(
    server: Server, cache: Path
) -> None:
    cache.mkdir(parents=True)
    (cache / YUNET_NAME).write_bytes(GOOD[:-1])
    assert command(server.url("missing")).exit_code == 5
    assert (cache / YUNET_NAME).read_bytes() == GOOD[:-1]
    assert command(server.url("good")).exit_code == 0
    assert (cache / YUNET_NAME).read_bytes() == GOOD


def test_a_cache_that_cannot_be_written_is_exit_code_8_before_anything_is_fetched(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file in its way")
    result = command(server.url("good"))
    assert result.exit_code == 8
    assert "error: cannot write" in result.stderr
    assert server.asked == []


@pytest.mark.parametrize("variable", ["", "relative/folder"])
def test_without_an_absolute_cache_variable_it_is_kept_at_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert yunet_path() == tmp_path / ".cache" / "emo-toolkit" / YUNET_NAME
