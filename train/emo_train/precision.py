"""Whether this machine computes in the precision that a recipe asks for."""

from __future__ import annotations

from pathlib import Path

import keras

from emo_edge.messages import warn

CPUINFO = Path("/proc/cpuinfo")
# As Linux names them for x86-64 (AVX-512, AMX) and for Arm.
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


def computes_in_bfloat16(cpuinfo: str) -> bool:
    """Whether the processor that /proc/cpuinfo tells of has instructions for bfloat16."""
    return not BFLOAT16_FLAGS.isdisjoint(cpuinfo.split())


def warn_if_emulated(precision: str) -> None:
    """Say so where TensorFlow would have to emulate bfloat16, which it does without a word."""
    if precision != "mixed_bfloat16" or keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU") or not CPUINFO.exists():
        return
    if not computes_in_bfloat16(CPUINFO.read_text(encoding="utf-8", errors="replace")):
        warn(
            "this processor has no bfloat16 instructions: --precision mixed_bfloat16 takes several "
            "times as long as float32 here"
        )
