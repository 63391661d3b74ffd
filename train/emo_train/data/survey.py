"""What a data set holds, in numbers: classes, sizes, channels, duplicates, what is unusable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from emo_train.data.layout import Layout
from emo_train.data.reading import Look

COMMON_SIZES = 3
NAMED_FILES = 3


@dataclass(frozen=True)
class Survey:
    """A data set as it lies there, before anything is removed.

    Attributes:
        kind: The layout that was recognised.
        labels: Class names.
        counts: Split -> readable pictures of each class.
        sizes: (width, height) in pixels -> pictures.
        coloured: Pictures whose channels differ; the others are grey.
        blank: Split -> pictures of one single colour.
        unreadable: Split -> names.
        repeated: Split -> pictures that repeat an earlier one of the same split.
        shared: (split, later split) -> pictures of the later that are in the earlier too.
        contradicting: Pictures that stand under more than one class, counted once each.
    """

    kind: str
    labels: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    sizes: Counter[tuple[int, int]]
    coloured: int
    blank: Mapping[str, int]
    unreadable: Mapping[str, tuple[str, ...]]
    repeated: Mapping[str, int]
    shared: Mapping[tuple[str, str], int]
    contradicting: int

    @property
    def pictures(self) -> int:
        """Readable pictures in all."""
        return sum(map(sum, self.counts.values()))

    def remarks(self) -> list[str]:
        """Return what the table of counts does not say, a line each."""
        sizes = [f"{w}x{h} ({n:,})" for (w, h), n in self.sizes.most_common(COMMON_SIZES)]
        if len(self.sizes) > COMMON_SIZES:
            (low, _), (high, _) = min(self.sizes.items()), max(self.sizes.items())
            sizes.append(f"... {len(self.sizes)} sizes, {low[0]} to {high[0]} wide")
        unreadable = [name for names in self.unreadable.values() for name in names]
        named = ", ".join(unreadable[:NAMED_FILES])
        dots = ", ..." if len(unreadable) > NAMED_FILES else ""
        lines = [
            f"layout         {self.kind}",
            f"sizes          {', '.join(sizes)}",
            f"channels       grey {self.pictures - self.coloured:,}, colour {self.coloured:,}",
            f"unreadable     {len(unreadable)}" + (f": {named}{dots}" if unreadable else ""),
            f"blank          {_listed(self.blank)}",
            f"duplicates     within a split: {_listed(self.repeated)}",
        ]
        for (earlier, later), count in self.shared.items():
            lines.append(f"               of {later} that are in {earlier} too: {count:,}")
        if self.contradicting:
            lines.append(f"               under more than one class: {self.contradicting:,}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return everything as a JSON-ready dictionary."""
        by_class = {
            split: dict(zip(self.labels, counts, strict=True))
            for split, counts in self.counts.items()
        }
        return {
            "layout": self.kind,
            "counts": by_class,
            "sizes": {f"{w}x{h}": count for (w, h), count in self.sizes.most_common()},
            "grey": self.pictures - self.coloured,
            "coloured": self.coloured,
            "blank": dict(self.blank),
            "unreadable": {split: list(names) for split, names in self.unreadable.items()},
            "duplicates": {
                "within": dict(self.repeated),
                "across": {f"{a}, {b}": count for (a, b), count in self.shared.items()},
                "under_more_than_one_class": self.contradicting,
            },
        }


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "0"


def take_survey(layout: Layout, looks: Mapping[str, Look]) -> Survey:
    """Count what was seen in the splits of a layout."""
    facts = [fact for seen in looks.values() for fact in seen.facts]
    digests = {name: [fact.digest for fact in seen.facts] for name, seen in looks.items()}
    classes: dict[bytes, set[int]] = {}
    for seen in looks.values():
        for fact, truth in zip(seen.facts, seen.truth.tolist(), strict=True):
            if not fact.blank:
                classes.setdefault(fact.digest, set()).add(truth)
    sets = {name: set(known) for name, known in digests.items()}
    return Survey(
        kind=layout.kind,
        labels=layout.labels,
        counts={
            name: tuple(np.bincount(seen.truth, minlength=len(layout.labels)).tolist())
            for name, seen in looks.items()
        },
        sizes=Counter((fact.width, fact.height) for fact in facts),
        coloured=sum(fact.coloured for fact in facts),
        blank={name: sum(f.blank for f in seen.facts) for name, seen in looks.items()},
        unreadable={name: seen.unreadable for name, seen in looks.items()},
        repeated={name: len(known) - len(sets[name]) for name, known in digests.items()},
        shared={
            (a, b): sum(digest in sets[a] for digest in digests[b])
            for a, b in combinations(looks, 2)
        },
        contradicting=sum(len(truths) > 1 for truths in classes.values()),
    )
