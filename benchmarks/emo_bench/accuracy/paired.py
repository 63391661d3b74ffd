"""Two models on the same faces: what is told apart is only where they disagree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emo_bench.results import Result
from emo_edge.artifacts import sha256
from emo_edge.errors import DataError
from emo_edge.faces import Faces
from emo_edge.metrics import mcnemar, paired_interval

Hits = NDArray[np.bool_]


def faces_digest(faces: Faces, labels: tuple[str, ...]) -> str:
    """Return a digest of which faces they are and of their labels, whatever the input size."""
    lines = [f"{name}\t{labels[k]}" for name, k in zip(faces.names, faces.truth, strict=True)]
    return sha256("\n".join(lines).encode(errors="surrogateescape"))  # file names are bytes


def pack_hits(hits: Hits) -> str:
    """Return bool[N] as hexadecimal text, eight faces to two digits."""
    return np.packbits(hits).tobytes().hex()


def unpack_hits(result: Result) -> Hits:
    """Return which faces a result's model answered rightly, bool[N].

    Raises `DataError` if they are not of all its faces: numpy would take the others for wrong.
    """
    images = result["images"]
    try:
        packed = bytes.fromhex(result["hits"])
    except ValueError as error:
        raise DataError(f"{result['model']}: its hits are not hexadecimal") from error
    if images < 1 or len(packed) != -(-images // 8):
        raise DataError(f"{result['model']}: its hits are not those of {images} faces")
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=images).astype(bool)


def same_faces(before: Result, after: Result) -> bool:
    """Whether two results can be compared pairwise."""
    return all(before[name] == after[name] for name in ("faces_sha256", "images"))


def drop(before: Hits, after: Hits) -> dict[str, Any]:
    """Return the drop of top-1 in points, its 95 % paired interval, and McNemar's exact p."""
    low, high = paired_interval(before, after)
    return {
        "drop": round(100 * float(before.mean() - after.mean()), 2),
        # The adjusted interval of few faces reaches beyond what can be lost or won.
        "drop_interval": [round(100 * max(low, -1.0), 2), round(100 * min(high, 1.0), 2)],
        "mcnemar_p": round(mcnemar(before, after), 4),
    }
