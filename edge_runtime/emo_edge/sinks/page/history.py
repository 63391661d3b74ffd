"""The last minutes, for a page that is opened now, and how long each label was shown."""

from __future__ import annotations

from collections import deque
from typing import Any

from emo_edge.sinks.page.latest import Moment
from emo_edge.tracking import Rhythm

KEPT_SECONDS = 300.0
SAMPLE_SECONDS = 0.5
KEPT_SAMPLES = 3000  # 300 s of five faces; about 150 kB when it is sent
# A longer pause (a camera away, a board asleep) counts for no label, unless the one before was as
# long (--max-fps 0.5).
LONGEST_STEP = 1.0


class History:
    """Samples of the readings; not thread-safe."""

    def __init__(self) -> None:
        self._samples: deque[list[Any]] = deque(maxlen=KEPT_SAMPLES)
        self._sampled_at = float("-inf")
        self._rhythm = Rhythm(LONGEST_STEP)
        self.label_seconds: dict[str, float] = {}

    def take(self, moment: Moment) -> None:
        """Take in a moment."""
        at = moment.frame.grabbed_at
        step = max(min(self._rhythm.take(at)), 0.0)
        for reading in moment.readings:
            shown = self.label_seconds.get(reading.label, 0.0)
            self.label_seconds[reading.label] = shown + step
        if at - self._sampled_at < SAMPLE_SECONDS:
            return
        self._sampled_at = at
        for reading in moment.readings:
            shares = [round(100 * share) for share in reading.probabilities.values()]
            self._samples.append([round(at, 2), reading.track, reading.label, shares])
        while self._samples and self._samples[0][0] <= at - KEPT_SECONDS:
            self._samples.popleft()

    def samples(self) -> list[list[Any]]:
        """Return [seconds, track, label, percent of each label] of the last `KEPT_SECONDS`."""
        return list(self._samples)
