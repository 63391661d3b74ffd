"""Fuzz the doors of the device: python -m fuzz [DOOR...] --runs 100000

Every input follows from --seed, its door and its number. An input that ends in anything but an
answer or a refusal is kept as a file, and can be had again with --only NUMBER.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from fuzz.doors import DOORS
from fuzz.driver import Report, fuzz, input_of

LEAST = 30  # inputs of a door


def main() -> int:
    """Fuzz; return 1 if something was found."""
    options = _options()
    found = 0
    whole = sum(DOORS[name].share for name in options.doors)
    print(f"{'door':<15}{'inputs':>8}{'taken':>8}{'refused':>9}{'contained':>11}{'found':>7}  s")
    for name in options.doors:
        door, began = DOORS[name], time.monotonic()
        count = (
            1 if options.only is not None else max(LEAST, round(options.runs * door.share / whole))
        )
        report = fuzz(door, options.seed, options.only or 0, count)
        figures = (count, report.taken, report.refused, len(report.contained), len(report.findings))
        columns = "".join(f"{n:>{w}}" for n, w in zip(figures, (8, 8, 9, 11, 7), strict=True))
        print(f"{name:<15}{columns}  {time.monotonic() - began:.0f}", flush=True)
        found += len(report.findings)
        _keep(report, options.seed, options.keep)
    return 1 if found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("doors", nargs="*", metavar="DOOR", help=", ".join(DOORS))
    parser.add_argument("--runs", type=int, default=100_000, help="inputs over all doors")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the input of this number")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="for findings")
    options = parser.parse_args()
    for name in options.doors:
        if name not in DOORS:
            parser.error(f"no door {name!r}: {', '.join(DOORS)}")
    options.doors = options.doors or list(DOORS)
    return options


def _keep(report: Report, seed: int, folder: Path) -> None:
    for number, words in report.findings.items():
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / f"{report.door}-{seed}-{number}"
        kept.write_bytes(input_of(DOORS[report.door], seed, number))
        kept.with_suffix(".txt").write_text(words)
        print(f"{kept}: {words.strip().splitlines()[-1]}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
