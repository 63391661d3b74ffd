"""The smallest face that is looked for: what a detector costs hangs on it."""

from __future__ import annotations

# Fractions of the picture's longer side.
SMALLEST_FACE = 1 / 16
SMALLEST_RANGE = (1 / 32, 1 / 4)
