"""A live source: the newest frame of a camera, which is opened again whenever it is lost."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from emo_edge.errors import SourceError
from emo_edge.health import Health
from emo_edge.messages import say, warn
from emo_edge.sources.attempt import Attempt
from emo_edge.sources.capture import Camera, Picture
from emo_edge.sources.frame import Frame, Source
from emo_edge.sources.jpeg import decode
from emo_edge.sources.settings import Patience

BEAT_SECONDS = 1.0
HINT_SECONDS = 0.5  # between looks at the camera's hint
SHORTEST_WAIT = 0.02
CLOSING_SECONDS = 3.0  # longer than a read of a silent camera takes
MOST_STUCK = 4  # threads that do not come back; a fifth is not begun
# Slower than this share of what the camera promises is worth a line.
SLOW_SHARE = 0.25
BROKEN = "a broken frame; such are counted and left out"
HANGING = f"{MOST_STUCK} tries hang in the driver; if they do not come back, restart the machine"
STILL = "frozen, or a still picture: opening it again changed nothing"


@contextmanager
def live(camera: Camera, health: Health, patience: Patience | None = None) -> Iterator[Source]:
    """Open a camera for as long as the context lasts.

    Raises:
        SourceError: it cannot be opened now, or gives no frame. Later losses are not raised.
    """
    supervisor = _Supervisor(camera, health, patience or Patience())
    try:
        fps = supervisor.first()
        yield Source(camera.name, "live", fps, supervisor.frames())
    finally:
        supervisor.close()


class _Supervisor:
    """Runs in the loop's thread: takes frames, notices losses, begins new attempts."""

    def __init__(self, camera: Camera, health: Health, patience: Patience) -> None:
        self._camera, self._health, self._patience = camera, health, patience
        self._changed = threading.Condition()
        self._still: bytes | None = None
        self._hint = camera.hint()
        self._attempt: Attempt | None = self._begin()
        self._leaving: list[tuple[Attempt, float]] = []  # told to stop at, monotonic seconds
        self._counted = (0, 0)  # of this attempt: arrived, broken
        self._size: tuple[int, ...] = ()
        self._clean = False  # whether this camera's pictures are whole
        self._undecoded_since: float | None = None
        self._lost_at = 0.0
        self._back_at = time.monotonic()
        self._retry_at = 0.0
        self._tries = self._falls = 0
        self._index, self._taken = 0, -1
        self._first: Frame | None = None
        self._said: set[str] = set()

    def first(self) -> float:
        """Wait for the first frame; return the nominal frames per second."""
        attempt = self._attempt
        assert attempt is not None
        until = time.monotonic() + self._patience.opening
        while self._first is None and (left := until - time.monotonic()) > 0:
            with self._changed:
                self._changed.wait_for(lambda: attempt.has_news, left)
                taken = attempt.take()
            if attempt.bug is not None:
                raise attempt.bug
            if taken is not None:
                self._first = self._frame(taken)
            elif attempt.ended:
                raise SourceError(attempt.failure)
        if self._first is None or attempt.capture is None:
            self._count(attempt)
            broken = self._health.source.broken
            only = f", only {broken} broken ones" if broken else ""
            raise SourceError(
                f"{self._camera.name} gave no frame in {self._patience.opening:g} s{only}"
            )
        self._health.source.turn("delivering")
        say(f"{self._camera.name}: {attempt.capture.title}")
        return attempt.capture.fps or 30.0

    def frames(self) -> Iterator[Frame | None]:
        """Yield the newest frame, or None after a second without; never ends."""
        first, self._first = self._first, None
        if first is not None and time.monotonic() - first.captured_at <= self._patience.silence:
            yield first
        while True:
            yield self._next()

    def close(self) -> None:
        """Let the device go."""
        self._let_go()
        until = time.monotonic() + CLOSING_SECONDS
        for attempt, _ in self._leaving:
            attempt.join(max(0.0, until - time.monotonic()))

    def _next(self) -> Frame | None:
        until = time.monotonic() + BEAT_SECONDS
        while (left := until - time.monotonic()) > 0:
            attempt = self._attempt
            if attempt is None:
                self._try_again(left)
                continue
            with self._changed:
                late = attempt.arrived_at + self._limit(attempt) - time.monotonic()
                wait = min(left, max(late, SHORTEST_WAIT))
                self._changed.wait_for(lambda: attempt.has_news, wait)  # noqa: B023 (waits here)
                taken = attempt.take()
            self._count(attempt)
            frame = self._frame(taken) if taken else None
            if frame is not None:
                return frame
            self._notice_loss(attempt)
        return None

    def _frame(self, taken: tuple[int, Picture, float]) -> Frame | None:
        """Return a picture as a frame; None if it is old or cannot be decoded after all."""
        number, picture, at = taken
        now = time.monotonic()
        with self._health.lock:
            self._health.source.skipped += number - self._taken - 1
        self._taken = number
        if now - at > self._patience.silence:  # taken late from a camera that is silent since
            return None
        image, whole = decode(picture) if isinstance(picture, bytes) else (picture, True)
        self._clean = self._clean or whole  # some cameras never send the whole of it
        less = self._clean and not whole
        if image is None or less or (self._size and image.shape != self._size):
            self._undecoded_since = self._undecoded_since or now
            with self._health.lock:
                self._health.source.broken += 1
            self._say_once("broken", BROKEN)
            return None
        self._size, self._undecoded_since = image.shape, None
        self._delivering(now)
        return Frame(image, self._index + number, at, at, self._camera.name)

    def _count(self, attempt: Attempt) -> None:
        """Bring the health up to date with what the thread saw."""
        source, (arrived, broken) = self._health.source, self._counted
        self._counted = attempt.arrived, attempt.broken
        with self._health.lock:
            source.frames += self._counted[0] - arrived
            source.broken += self._counted[1] - broken
            source.fps = attempt.rate
        if self._counted[1] > broken:
            self._say_once("broken", BROKEN)
        promised = attempt.capture.fps if attempt.capture else 0.0
        if attempt.rate is not None and attempt.rate < promised * SLOW_SHARE:
            self._say_once("slow", f"only {attempt.rate:.1f} of {promised:.0f} frames a second")
        again = attempt.still is not None and attempt.still == self._still
        if source.state == "delivering":
            source.error = STILL if again else ""
        if again:
            self._say_once("still", STILL)

    def _notice_loss(self, attempt: Attempt) -> None:
        now = time.monotonic()
        if attempt.bug is not None:
            raise attempt.bug
        patience = self._limit(attempt)
        if attempt.ended:
            self._lose(attempt.failure)
        elif self._undecoded_since and now - self._undecoded_since > patience:
            self._lose(f"only broken frames for {patience:g} s")
        elif now - attempt.arrived_at > patience:
            what = "only broken frames" if attempt.broken else "no frame"
            self._lose(f"{what} for {patience:g} s")

    def _limit(self, attempt: Attempt) -> float:
        return self._patience.silence if attempt.arrived else self._patience.opening

    def _lose(self, reason: str) -> None:
        now, source = time.monotonic(), self._health.source
        assert self._attempt is not None
        self._still = self._attempt.still or self._still
        self._let_go()
        if source.state == "delivering":
            self._lost_at = now
            # A camera that keeps falling off is not opened in a hurry.
            self._falls = 1 if now - self._back_at >= self._patience.steady else self._falls + 1
            self._tries = self._falls - 1
            warn(f"{self._camera.name}: lost ({reason}); trying again until it is back")
        with self._health.lock:
            source.turn("lost", reason)
        pause = 0.0
        if self._tries:
            pause = self._patience.first_pause * 2.0 ** min(self._tries - 1, 30)
        # Jitter: several boards that lost one camera shall not come back in step.
        self._retry_at = now + min(pause, self._patience.longest_pause) * random.uniform(0.75, 1)
        self._tries += 1

    def _let_go(self) -> None:
        if self._attempt is not None:
            self._attempt.stop()
            self._leaving.append((self._attempt, time.monotonic()))
            self._index += self._attempt.arrived
            self._attempt, self._taken, self._counted = None, -1, (0, 0)
            self._size, self._undecoded_since = (), None
            self._said.clear()

    def _try_again(self, left: float) -> None:
        """Begin the next attempt if it is time, or wait a little."""
        now = time.monotonic()
        for attempt, _ in self._leaving:
            if attempt.bug is not None:
                raise attempt.bug
        self._leaving = [(attempt, at) for attempt, at in self._leaving if not attempt.ended]
        if len(self._leaving) >= MOST_STUCK:
            self._health.source.error = HANGING
            self._say_once("hanging", HANGING)
            wait = left
        elif any(now - at < self._patience.stuck for _, at in self._leaving):
            wait = HINT_SECONDS  # its end is notified
        else:
            # A camera may be back before its loss is noticed: what counts is what changed since
            # the last try began.
            hint = self._camera.hint()
            if now >= self._retry_at or hint != self._hint:
                self._hint = hint
                self._attempt = self._begin()
                return
            wait = min(self._retry_at - now, HINT_SECONDS)
        with self._changed:
            self._changed.wait(min(left, wait))

    def _begin(self) -> Attempt:
        return Attempt(self._camera, self._changed, self._patience.frozen, self._still)

    def _delivering(self, now: float) -> None:
        source = self._health.source
        if source.state == "lost":
            assert self._attempt is not None and self._attempt.capture is not None
            away = now - self._lost_at
            say(f"{self._camera.name}: back after {away:.1f} s: {self._attempt.capture.title}")
            self._back_at = now
            with self._health.lock:
                source.reopened += 1
                source.turn("delivering")

    def _say_once(self, what: str, message: str) -> None:
        if what not in self._said:
            self._said.add(what)
            warn(f"{self._camera.name}: {message}")
