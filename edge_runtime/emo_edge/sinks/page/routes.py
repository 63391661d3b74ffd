"""What the page answers, by path."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from emo_edge.errors import EmoError
from emo_edge.sinks.page import metrics
from emo_edge.sinks.page.answers import Answer, as_json, refusal
from emo_edge.sinks.page.assets import ASSETS, SIGN_IN, WELCOME, Asset
from emo_edge.sinks.page.pictures import Picture, Pictures
from emo_edge.sinks.page.upload import MAX_BYTES, PictureError

if TYPE_CHECKING:
    from emo_edge.sinks.page.conversation import Conversation

UPLOAD_SECONDS = 30.0
PICTURE_SECONDS = 5.0  # how long a request waits for a picture newer than the one it has
CHECK_SECONDS = 1.0  # how often a stream with nothing to send looks whether it is wanted
MAX_FACES = 20  # of a picture's header
BOUNDARY = "emo-picture"
# What no page can make a browser send elsewhere without asking first (a preflight request).
UPLOADS = ("image/", "application/octet-stream")
UNAUTHORISED = {"WWW-Authenticate": 'Bearer realm="emo-edge"'}

Route = Callable[["Conversation"], Answer | None]  # None: it was streamed


def admission(talk: Conversation) -> Answer | None:
    """Return why a request may not pass, or the cookie for which it came; None if it may."""
    access = talk.site.access
    if not access.knows_host(talk.headers["Host"]):
        return refusal(421, "this page does not go by that name: use an address of this machine")
    if talk.route == "/" and access.right(talk.query.get("token", "")):
        # A page that moves on, not a redirect: after a click in a mail or a chat a browser would
        # follow the redirect without the cookie, because the click was not ours (SameSite).
        return WELCOME.answer(200, {"Set-Cookie": access.cookie()})
    if access.admits(talk.headers) or talk.route in ASSETS.keys() - {"/"}:
        return None
    if talk.route == "/":
        return SIGN_IN.answer(401, UNAUTHORISED, reveal="token" in talk.query)
    return refusal(401, "a token is needed: Authorization: Bearer TOKEN", UNAUTHORISED)


def answer(talk: Conversation) -> Answer | None:
    """Return the answer to a request that may pass; None if it was streamed."""
    methods = ROUTES.get(talk.route)
    if methods is None:
        return refusal(404, "there is no such page")
    method = "GET" if talk.command == "HEAD" else talk.command
    if method not in methods:
        allowed = ", ".join(sorted(methods | {"HEAD": None} if "GET" in methods else methods))
        return refusal(405, f"only {allowed} here", {"Allow": allowed})
    return methods[method](talk)


def _asset(asset: Asset) -> Route:
    def send(talk: Conversation) -> Answer:
        return asset.unless_known(talk.headers.get("If-None-Match", ""))

    return send


def _health(talk: Conversation) -> Answer:
    status = talk.site.broadcast.status()
    return as_json(status, 200 if status["ok"] else 503)


def _metrics(talk: Conversation) -> Answer:
    site = talk.site
    body = metrics.render(
        site.broadcast.status(), site.about, site.broadcast.label_seconds(), site.viewers.taken
    )
    return Answer(200, metrics.CONTENT_TYPE, body)


def _readings(talk: Conversation) -> None:
    """Stream what is new; a client too slow for everything gets the newest, a stuck one is let go.

    The health, sent every second, is the heartbeat.
    """
    with talk.site.viewers.take(), talk.site.broadcast.listen() as listener:
        if talk.begin_stream("text/event-stream"):
            talk.send(listener.hello)
            while not talk.over():
                talk.send(listener.after(CHECK_SECONDS) or b": waiting\n\n")


def _picture(pictures: Callable[[Conversation], Pictures]) -> Route:
    def send(talk: Conversation) -> Answer:
        after = talk.query.get("after")
        number = after or "0"
        if not (number.isascii() and number.isdigit() and len(number) <= 15):
            return refusal(400, "after is not a number")
        with talk.site.viewers.take():
            picture = pictures(talk).after(int(number), PICTURE_SECONDS)
        if picture is None and after is not None:  # whoever says so asks again
            return Answer(204, "image/jpeg", b"")
        if picture is None:
            return refusal(503, "there is no picture yet", {"Retry-After": "2"})
        return Answer(200, "image/jpeg", picture.jpeg, _about(picture))

    return send


def _about(picture: Picture) -> dict[str, str]:
    """Return the headers that belong to a picture; boxes as shares of its width and height."""
    height, width = picture.moment.frame.image.shape[:2]
    faces = [
        {
            "track": reading.track,
            "label": reading.label,
            "confidence": round(reading.confidence, 3),
            "box": [
                round(pixels / side, 4)
                for pixels, side in zip(reading.box[:4], (width, height) * 2, strict=True)
            ],
        }
        for reading in picture.moment.readings[:MAX_FACES]
    ]
    return {
        "Emo-Frame": str(picture.moment.number),
        "Emo-Age": f"{picture.moment.age:.3f}",
        "Emo-Faces": json.dumps(faces, allow_nan=False),
    }


def _stream(talk: Conversation) -> None:
    """Stream pictures, each after the one before was taken: a slow viewer misses some."""
    with talk.site.viewers.take():
        if not talk.begin_stream(f"multipart/x-mixed-replace; boundary={BOUNDARY}"):
            return
        talk.send(f"--{BOUNDARY}\r\n".encode())
        number = 0
        while not talk.over():
            picture = talk.site.annotated.after(number, CHECK_SECONDS)
            if picture is not None:
                number = picture.moment.number
                talk.send(_part(picture.jpeg))


def _part(jpeg: bytes) -> bytes:
    """Return a part with the boundary behind it: browsers wait for it before they show the part."""
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return b"".join([head.encode(), jpeg, f"\r\n--{BOUNDARY}\r\n".encode()])


def _classify(talk: Conversation) -> Answer:
    unfit = _refuse_upload(talk)
    if unfit is not None:
        return unfit
    reader = talk.site.reader
    try:
        with reader.places.take():
            return as_json(reader.read(talk.content(UPLOAD_SECONDS)))
    except TimeoutError:
        return refusal(408, f"the picture took longer than {UPLOAD_SECONDS:.0f} s")
    except PictureError as error:
        return refusal(422, str(error))
    except EmoError as error:
        return refusal(500, str(error))


def _refuse_upload(talk: Conversation) -> Answer | None:
    """Return why the content is not wanted, before any of it is received."""
    if not talk.headers.get("Content-Type", "").lower().startswith(UPLOADS):
        return refusal(415, "send a picture with Content-Type: image/jpeg, image/png or image/webp")
    length = talk.headers.get("Content-Length")
    if length is None:
        return refusal(411, "say the length of the picture first")
    if int(length) > MAX_BYTES:
        return refusal(413, f"the picture is larger than {MAX_BYTES >> 20} MiB")
    return None


ROUTES: dict[str, dict[str, Route]] = {
    **{path: {"GET": _asset(asset)} for path, asset in ASSETS.items()},
    "/healthz": {"GET": _health},
    "/metrics": {"GET": _metrics},
    "/picture.jpg": {"GET": _picture(lambda talk: talk.site.plain)},
    "/snapshot.jpg": {"GET": _picture(lambda talk: talk.site.annotated)},
    "/stream.mjpg": {"GET": _stream},
    "/api/readings": {"GET": _readings},
    "/api/classify": {"POST": _classify},
}
