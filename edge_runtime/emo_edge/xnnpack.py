"""XNNPACK for 8-bit models on tflite-runtime 2.14.

Its interpreter hands XNNPACK floats alone. Yet the XNNPACK in the same wheel can take 8-bit
operators when its delegate is made with two flags, and the wheels of 64 bits export what makes it
(tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h). LiteRT sets these flags by itself.
"""

from __future__ import annotations

import ctypes
import importlib
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
        library: From `library_of`.
        threads: Of the delegate.
    """

    def __init__(self, library: ctypes.CDLL, threads: int) -> None:
        default = library.TfLiteXNNPackDelegateOptionsDefault
        default.restype = _Options
        create = library.TfLiteXNNPackDelegateCreate
        create.restype, create.argtypes = ctypes.c_void_p, [ctypes.POINTER(_Options)]
        self._delete = library.TfLiteXNNPackDelegateDelete
        self._delete.restype, self._delete.argtypes = None, [ctypes.c_void_p]
        options = default()
        options.num_threads = threads
        options.flags |= SIGNED_8_BIT | UNSIGNED_8_BIT
        self._pointer = create(options)

    def _get_native_delegate_pointer(self) -> int:
        """Return what tflite_runtime's interpreter asks of a delegate (see its `load_delegate`)."""
        return int(self._pointer)

    def __del__(self) -> None:
        """Free it; the interpreter lets go of its delegates after it is gone itself."""
        self._delete(self._pointer)


def library_of(runtime: ModuleType) -> ctypes.CDLL | None:
    """Return the library of `tflite_runtime.interpreter` if it makes delegates, else None."""
    package = importlib.import_module(runtime.__name__.partition(".")[0])
    if package.__name__ != "tflite_runtime" or package.__version__ != VERSION:
        return None
    extension = importlib.import_module("tflite_runtime._pywrap_tensorflow_interpreter_wrapper")
    library = ctypes.CDLL(extension.__file__)
    # The 32-bit wheel has no XNNPACK.
    return library if hasattr(library, "TfLiteXNNPackDelegateCreate") else None
