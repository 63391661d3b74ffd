"""One client's conversation: HTTP within bounds; what is answered is in `routes`."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from emo_edge.sinks.page import routes
from emo_edge.sinks.page.answers import SECURITY, Answer, refusal
from emo_edge.sinks.page.places import BusyError
from emo_edge.sinks.page.site import Site
from emo_edge.sinks.page.wire import Incoming, Outgoing, TooMuchError, hung_up

HEAD_BYTES, HEAD_SECONDS = 16 * 1024, 10.0  # the seconds also end a connection that idles
# What a refused client still sends is read before hanging up, or it would never see the answer.
LEFTOVER_BYTES, LEFTOVER_SECONDS = 16 * 1024 * 1024, 2.0
VERSIONS = frozenset({"HTTP/1.0", "HTTP/1.1"})
LONGEST_NUMBER = 15  # digits
WITHOUT_CONTENT = frozenset({204, 304})


class Conversation(BaseHTTPRequestHandler):
    """Answers the requests of one connection, one after the other.

    Args:
        site: What there is to see.
        args: As `BaseHTTPRequestHandler` takes them.

    Attributes:
        route: Path of the request at hand, without its query.
        query: The query's first value of each name.
    """

    site: Site
    protocol_version = "HTTP/1.1"

    def __init__(self, site: Site, *args: object) -> None:
        self.site = site
        self.route, self.query = "", dict[str, str]()
        self._unread = 0
        super().__init__(*args)  # type: ignore[arg-type]  # it converses until the client leaves

    def setup(self) -> None:
        """Replace the base's streams by bounded ones."""
        self.connection: socket.socket = self.request
        self._incoming = Incoming(self.connection)
        self.rfile = io.BufferedReader(self._incoming)
        self.wfile = Outgoing(self.connection)

    # What routes call

    def content(self, seconds: float) -> bytes:
        """Receive the content of the request, within so many seconds."""
        expects = self.headers.get("Expect", "").lower() == "100-continue"
        if expects and self.request_version != "HTTP/1.0":
            self.send_response_only(100)
            self.end_headers()
        self._incoming.allow(self._unread, seconds)
        content = self.rfile.read(self._unread)
        if len(content) < self._unread:
            raise ConnectionError("the client hung up")
        self._unread = 0
        return content

    def begin_stream(self, kind: str) -> bool:
        """Send the head of an answer without an end; return whether the client wants more."""
        self.close_connection = True
        unbuffered = {"X-Accel-Buffering": "no"}  # asks nginx to pass every part on at once
        self._send_head(200, {"Content-Type": kind, "Cache-Control": "no-store", **unbuffered})
        return self.command != "HEAD"

    def send(self, content: bytes) -> None:
        """Send a part of a stream."""
        self.wfile.write(content)

    def over(self) -> bool:
        """Whether a stream has nobody to go to."""
        return self.site.closing.is_set() or hung_up(self.connection)

    # What the base calls

    def handle_one_request(self) -> None:
        """Answer one request; what a client does wrong ends the conversation, nothing else."""
        self._incoming.allow(HEAD_BYTES, HEAD_SECONDS)
        self._unread, self.command = 0, ""
        try:
            super().handle_one_request()
        except TooMuchError:
            self._end(refusal(431, f"the request's head is larger than {HEAD_BYTES} bytes"))
        except ConnectionError:
            self.close_connection = True

    def parse_request(self) -> bool:
        """Parse the head; refuse what two programs could read in two ways."""
        if not super().parse_request():
            return False
        lengths = self.headers.get_all("Content-Length", [])
        if len(self.requestline.split()) != 3 or self.request_version not in VERSIONS:
            self._end(refusal(400, "speak HTTP/1.0 or 1.1"))
        elif "Transfer-Encoding" in self.headers:
            self._end(refusal(411, "say the length of the content first"))
        elif lengths and not _is_length(lengths):
            self._end(refusal(400, "Content-Length is not one number"))
        elif len(self.headers.get_all("Host", [])) != 1:
            self._end(refusal(400, "one Host header is needed"))
        else:
            self._unread = int(lengths[0]) if lengths else 0
            if self.request_version == "HTTP/1.0":
                self.close_connection = True
            return True
        return False

    def handle_expect_100(self) -> bool:
        """Say nothing yet: whether the content is wanted is seen later."""
        return True

    def do_GET(self) -> None:
        """Answer a request whose head is in order."""
        try:
            url = urlsplit(self.path)
            self.query = {name: given[0] for name, given in parse_qs(url.query).items()}
        except ValueError:
            return self._end(refusal(400, "the address cannot be read"))
        self.route = url.path
        try:
            answer = routes.admission(self) or routes.answer(self)
        except BusyError:
            why = "all places are taken: try again in a few seconds"
            answer = refusal(503, why, {"Retry-After": "5"})
        if answer is not None:
            self._answer(answer)
        return None

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse in the form of all refusals."""
        self._end(refusal(int(code), message or explain or "refused"))

    def version_string(self) -> str:
        """Return the Server header: the version is nobody's business."""
        return "emo-edge"

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing: addresses hold tokens."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Say nothing: who hangs up is no news."""

    # How answers are sent

    def _end(self, answer: Answer) -> None:
        self.close_connection = True
        self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        if self._unread:
            self.close_connection = True
        headers = {"Cache-Control": "no-store", **answer.headers}
        if answer.status not in WITHOUT_CONTENT:
            headers |= {"Content-Type": answer.kind, "Content-Length": str(len(answer.body))}
        self._send_head(answer.status, headers)
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        if self.close_connection:
            self._discard()

    def _send_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.request_version = self.protocol_version  # or the base leaves out the head for 0.9
        self.send_response(status)
        for name, value in {**SECURITY, **headers}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _discard(self) -> None:
        with contextlib.suppress(OSError, TooMuchError):
            self.connection.shutdown(socket.SHUT_WR)
            self._incoming.allow(LEFTOVER_BYTES, LEFTOVER_SECONDS)
            while self.rfile.read1(64 * 1024):
                pass


def _is_length(values: list[str]) -> bool:
    return len(values) == 1 and values[0].isascii() and values[0].isdigit() and (
        len(values[0]) <= LONGEST_NUMBER
    )  # fmt: skip
