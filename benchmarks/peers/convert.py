"""Convert a Keras model as its users would: float32 .tflite, then .onnx; in its own environment.

python convert.py MODEL.hdf5 OUT.tflite OUT.onnx

Beside the .onnx lies OUT.onnx.json with the input's shape, which OpenCV's DNN module cannot tell.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main(source: str, tflite: str, onnx: str) -> None:
    """Write both files."""
    import keras
    import tensorflow as tf

    model = keras.models.load_model(source, compile=False)
    shape = (1, *model.input_shape[1:])
    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serve", model.call, [tf.TensorSpec(shape, tf.float32)])
        archive.write_out(folder, verbose=False)
        Path(tflite).write_bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())
    command = [sys.executable, "-m", "tf2onnx.convert", "--tflite", tflite, "--output", onnx]
    subprocess.run([*command, "--opset", "13"], check=True)
    Path(f"{onnx}.json").write_text(json.dumps({"input_shape": shape}), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
