"""What a user can put right: one exception per exit code.

=====  ==================  ================================================================
code   exception           meaning
=====  ==================  ================================================================
0                          done
1                          a bug in emo-toolkit (the only case that prints a traceback)
2      `UsageError`        wrong options, a missing extra, an output that exists already
3      `DataError`         pictures, labels or a run folder that cannot be used
4      `ModelError`        not a model, a damaged model, a model that contradicts its metadata
5      `SourceError`       the camera, video or picture cannot be opened
6      `GateError`         the parity gate failed: no model was written
7      `NoFaceError`       the whole source held no face
8      `OutputError`       an output cannot be written, or lost something; stdout was closed
9      `HealthError`       `emo-edge doctor` found a problem, or the service does not run
10     `RegressionError`   a benchmark is worse than its reference by more than is allowed
130                        interrupted (Ctrl-C)
=====  ==================  ================================================================
"""

from __future__ import annotations


class EmoError(Exception):
    """Something the user can put right; the message says what happened and what to do."""

    exit_code = 1


class UsageError(EmoError):
    """Wrong options, a missing extra, an output that exists already."""

    exit_code = 2


class DataError(EmoError):
    """Pictures, labels or a run folder that cannot be used."""

    exit_code = 3


class ModelError(EmoError):
    """Not a model, a damaged model, or a model that contradicts its metadata."""

    exit_code = 4


class SourceError(EmoError):
    """The camera, video or picture cannot be opened, or stopped delivering."""

    exit_code = 5


class GateError(EmoError):
    """The parity gate failed."""

    exit_code = 6


class NoFaceError(EmoError):
    """A source that ended without a single face."""

    exit_code = 7


class OutputError(EmoError):
    """An output cannot be written, or lost something."""

    exit_code = 8


class HealthError(EmoError):
    """`emo-edge doctor` found a problem, or the service does not run."""

    exit_code = 9


class RegressionError(EmoError):
    """A benchmark is worse than its reference by more than is allowed."""

    exit_code = 10
