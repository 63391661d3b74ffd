"""Packs the weights of a run at half their size: rounded to float16, in a deflated archive.

    python pack.py runs/base/model.keras base.keras

Rounding moves a weight by a 2,000th at most, less than a training step. The file is read by Keras
as any other.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer

from emo_edge.artifacts import atomic_path
from emo_edge.commands import errors_as_lines
from emo_train.loading import load_model


def main(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    out: Annotated[Path, typer.Argument(help="The .keras file to write.")],
) -> None:
    """Write a model again, at half the size."""
    with errors_as_lines(), TemporaryDirectory() as folder:
        net = load_model(model)
        # The zeros that end each number afterwards are what deflating finds.
        net.set_weights([weight.astype(np.float16) for weight in net.get_weights()])
        rounded = Path(folder) / "model.keras"
        net.save(rounded)
        with (
            atomic_path(out) as temporary,
            zipfile.ZipFile(rounded) as loose,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as dense,
        ):
            for name in loose.namelist():
                dense.writestr(name, loose.read(name))


if __name__ == "__main__":
    typer.run(main)
