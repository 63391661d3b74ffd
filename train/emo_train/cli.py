"""`emo-train`: a folder of pictures becomes a Keras model in a run folder."""

from __future__ import annotations

from emo_edge.commands import new_app
from emo_train.commands.average import average
from emo_train.commands.inspect import inspect
from emo_train.commands.logits import logits
from emo_train.commands.models import models
from emo_train.commands.presets import presets
from emo_train.commands.synthesize import synthesize
from emo_train.commands.train import train

app = new_app(
    """Train a facial-expression classifier.

    The data is a folder of class folders (data/happy/*.png ...), optionally below train/, val/ and
    test/, a folder with fer2013.csv, or NumPy arrays (.npz). Pictures are face crops; any number of
    classes from two.

    \b
    Examples:
      emo-train inspect faces/ --out look/
      emo-train --data faces/ --out runs/a
      emo-train --data faces/ --out runs/colour --colour rgb --input-size 96 --architecture base
      emo-train --data fer2013/ --preset fer2013 --out runs/fer --epochs 60
      emo-train --config runs/fer/config.json --out runs/again
      emo-train --resume runs/fer
      emo-train logits runs/large runs/larger --out teacher.npz
      emo-train --data faces/ --out runs/b --teacher teacher.npz
      emo-train average runs/a runs/again --out runs/mean
      emo-train synthesize --out synthetic/

    Settings can stand in a TOML or YAML file too: `emo-train presets default` prints all."""
)
app.callback(invoke_without_command=True)(train)
for command in (average, inspect, logits, models, presets, synthesize):
    app.command()(command)


def main() -> None:
    """Entry point of `emo-train`."""
    app()
