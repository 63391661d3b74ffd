"""MobileNetV2 0.35 at 96x96, untrained: what a small net costs (`emo-bench latency`).

python yardstick.py FOLDER

writes mobilenetv2-0.35-float32.tflite, -fp16.tflite and -int8.tflite there, with 7 classes. Its
answers mean nothing; int8 is calibrated on noise.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

SHAPE = (96, 96, 3)
CLASSES = 7  # FER2013
CALIBRATION_PICTURES = 100


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, writable=True)],
) -> None:
    """Write the files."""
    import keras
    import numpy as np
    import tensorflow as tf

    net = keras.applications.MobileNetV2(
        input_shape=SHAPE, alpha=0.35, weights=None, classes=CLASSES
    )
    rng = np.random.default_rng(0)

    def noise() -> Iterator[list[object]]:
        for _ in range(CALIBRATION_PICTURES):
            yield [rng.uniform(-1, 1, (1, *SHAPE)).astype(np.float32)]

    with tempfile.TemporaryDirectory() as exported:
        net.export(exported, verbose=False)
        for kind in ("float32", "fp16", "int8"):
            converter = tf.lite.TFLiteConverter.from_saved_model(exported)
            if kind != "float32":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if kind == "fp16":
                converter.target_spec.supported_types = [tf.float16]
            if kind == "int8":
                converter.representative_dataset = noise
                converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
                converter.inference_input_type = tf.uint8
                converter.inference_output_type = tf.uint8
            out = folder / f"mobilenetv2-0.35-{kind}.tflite"
            out.write_bytes(converter.convert())
            print(out)


if __name__ == "__main__":
    typer.run(main)
