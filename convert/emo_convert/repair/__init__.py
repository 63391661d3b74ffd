"""Repair of int8 models that fail the parity gate: calibration, equalization, fallback, training.

Every repair is a pure function: a Keras model and calibration faces in, a new model or TFLite
bytes out; the given model is left as it is. What reaches the converter is made of plain Keras
layers only.
"""
