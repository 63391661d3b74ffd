"""Which layout a path has."""

from __future__ import annotations

from pathlib import Path

from emo_edge.errors import DataError, UsageError
from emo_edge.faces import require_folder
from emo_train.data.arrays import holds_arrays, open_arrays
from emo_train.data.fer2013 import LABEL_KINDS, LabelKind, fer_labels, is_fer2013, open_fer2013
from emo_train.data.folders import open_folders
from emo_train.data.layout import Layout


def open_layout(root: Path, kind: str = "auto", labels: tuple[str, ...] | None = None) -> Layout:
    """Recognise and open a data set: class folders, FER2013 CSV files or .npz files.

    Args:
        root: A folder, or an .npz file.
        kind: Labels of FER2013: fer, ferplus, ferplus-soft; auto takes those that `labels` are,
            else fer.
        labels: The classes of a trained model; None takes those that are there.

    Raises `DataError` for data that cannot be used, `UsageError` for a kind that it has not.
    """
    wanted: LabelKind | None = kind if kind in LABEL_KINDS else None
    if wanted is None and labels is not None:
        wanted = next((k for k in LABEL_KINDS[:2] if fer_labels(k) == labels), None)
    if is_fer2013(root):
        return open_fer2013(root, wanted or "fer", scoring=labels is not None)
    if holds_arrays(root):
        return open_arrays(root, wanted, known=labels, asked=kind != "auto")
    if root.is_file():
        raise DataError(f"{root} is not a folder or an .npz file")
    require_folder(root)
    if wanted is not None and kind != "auto":
        raise UsageError(f"--labels is for FER2013 files; {root} holds no fer2013.csv")
    return open_folders(root, labels)
