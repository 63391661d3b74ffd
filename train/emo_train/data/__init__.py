"""Pictures as people have them: class folders, FER2013 CSV files, NumPy arrays.

`open_layout` recognises them, `prepare_splits` makes the splits of a run, `load_evaluation` what
scores a finished model. All pixels pass through the contract of `emo_edge`, so that training sees
what the device sees.
"""

from __future__ import annotations

from emo_train.data.dataset import Dataset, prepare_splits
from emo_train.data.evaluation import Evaluation, copies, load_evaluation
from emo_train.data.layout import Layout
from emo_train.data.recognise import open_layout

__all__ = [
    "Dataset",
    "Evaluation",
    "Layout",
    "copies",
    "load_evaluation",
    "open_layout",
    "prepare_splits",
]
