"""What a long run does for the board it lives on and for systemd, as beats of the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from emo_edge.board.notify import Notifier, status_line
from emo_edge.board.watch import BoardWatch
from emo_edge.health import Health
from emo_edge.pace import Pace
from emo_edge.sources.frame import Source


@contextmanager
def signs_of_life(
    source: Source, health: Health, pace: Pace, celsius_limit: float | None = None
) -> Iterator[list[Callable[[], None]]]:
    """Yield what the loop is to call at every beat: systemd's watchdog, a camera's governor.

    A recording or a folder is soon over: nobody watches the board meanwhile.
    """
    beats: list[Callable[[], None]] = []
    with ExitStack() as open_parts:
        if source.kind == "live":
            watch = open_parts.enter_context(BoardWatch(health, pace, limit=celsius_limit))
            beats.append(watch.beat)
        notifier = Notifier(lambda: status_line(health.snapshot()))
        beats.append(open_parts.enter_context(closing(notifier)).beat)
        yield beats
