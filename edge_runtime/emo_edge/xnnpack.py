"""XNNPACK for 8-bit models on tflite-runtime 2.14.

Its interpreter hands XNNPACK floats alone. Yet the XNNPACK in the same wheel can take 8-bit
operators when its delegate is made with two flags, and the wheels of 64 bits export what makes it
(tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h). LiteRT sets these flags by itself.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from types import ModuleType

# The last release there is; in others the options may lie elsewhere in memory.
VERSION = "2.14.0"
SIGNED_8_BIT, UNSIGNED_8_BIT = 1, 2  # TFLITE_XNNPACK_DELEGATE_FLAG_QS8, ..._QU8


class _Options(ctypes.Structure):
    """TfLiteXNNPackDelegateOptions: its first two fields, and more room than it needs."""

    _fields_ = (
        ("num_threads", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
        ("rest", ctypes.c_uint8 * 120),
    )


class EightBitDelegate:
    """An XNNPACK delegate that takes 8-bit operators too; an interpreter keeps it while it lives.

    Args:
        pointer: What TfLiteXNNPackDelegateCreate gave.
        delete: TfLiteXNNPackDelegateDelete.
    """

    def __init__(self, pointer: int, delete: Callable[[int], None]) -> None:
        self._pointer, self._delete = pointer, delete

    def _get_native_delegate_pointer(self) -> int:
        """Return what tflite_runtime's interpreter asks of a delegate (see its `load_delegate`)."""
        return self._pointer

    def __del__(self) -> None:
        """Free it; the interpreter lets go of its delegates after it is gone itself."""
        self._delete(self._pointer)


def eight_bit_delegates(runtime: ModuleType, threads: int) -> list[EightBitDelegate]:
    """Return what an interpreter of this module is to be given: a delegate, or nothing.

    Nothing for other runtimes and versions, for the 32-bit wheel, which has no XNNPACK, and for a
    processor that XNNPACK does not know.
    """
    package = importlib.import_module(runtime.__name__.partition(".")[0])
    if package.__name__ != "tflite_runtime" or package.__version__ != VERSION:
        return []
    extension = importlib.import_module("tflite_runtime._pywrap_tensorflow_interpreter_wrapper")
    library = ctypes.CDLL(extension.__file__)
    create = getattr(library, "TfLiteXNNPackDelegateCreate", None)
    if create is None:
        return []
    default = library.TfLiteXNNPackDelegateOptionsDefault
    delete = library.TfLiteXNNPackDelegateDelete
    default.restype, create.restype, delete.restype = _Options, ctypes.c_void_p, None
    create.argtypes, delete.argtypes = [ctypes.POINTER(_Options)], [ctypes.c_void_p]
    options = default()
    options.num_threads = threads
    options.flags |= SIGNED_8_BIT | UNSIGNED_8_BIT
    pointer = create(options)
    return [EightBitDelegate(pointer, delete)] if pointer else []
