"""Look through a .tflite before a runtime does: tflite-runtime follows any offset that it reads.

Damage and malice are refused here, where an offset, a count or an index leads out of the file or
a tensor is not as large as its shape says. What an operator makes of its inputs is the runtime's.

The format: https://flatbuffers.dev/internals/, TensorFlow's `schema.fbs` for the tables.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emo_edge.errors import ModelError

IDENTIFIER = b"TFL3"
MAX_TENSOR_BYTES = 256 << 20
MAX_RANK = 8
# Thousands of times the same table or list would keep the verifier busy for days.
MAX_GRAPHS, MAX_TABLES, MAX_NUMBERS = 16, 10_000, 10_000
# Bits of an element by the number of its type; others (text, resources) have no fixed size.
ELEMENT_BITS = {
    0: 32, 1: 16, 2: 32, 3: 8, 4: 64, 6: 8, 7: 16, 8: 64, 9: 8, 10: 64, 11: 128, 12: 64,
    15: 32, 16: 16, 17: 4,
}  # fmt: skip
# Options of these operators hold a list of numbers in their first field.
RESHAPE_OPTIONS, SQUEEZE_OPTIONS = 17, 30


def verify(content: bytes) -> None:
    """Raise `ModelError` if a runtime that trusts `content` could read beyond it."""
    try:
        _Model(content).verify()
    except struct.error as error:
        raise ModelError("an offset leads beyond the file") from error
    except ValueError as error:
        raise ModelError(str(error)) from error


@dataclass(frozen=True)
class Table:
    """A table at `start`; `fields` are offsets from there, 0 for what is absent."""

    content: bytes
    start: int
    size: int
    fields: Sequence[int]

    def at(self, field: int) -> int:
        """Return where a field lies, 0 if it is absent."""
        place = self.fields[field] if field < len(self.fields) else 0
        return place and self.start + place

    def entry(self, field: int) -> int:
        """Return where the directory says where a field lies."""
        (back,) = struct.unpack_from("<i", self.content, self.start)
        return self.start - int(back) + 4 + 2 * field

    def number(self, field: int, kind: str = "i") -> int:
        """Return a scalar; 0, the schema's default for all that are asked for, if it is absent."""
        at = self.at(field)
        if not at:
            return 0
        if at + struct.calcsize(kind) > self.start + self.size:
            raise ValueError("a number lies outside of its table")
        return int(struct.unpack_from(f"<{kind}", self.content, at)[0])

    def table(self, field: int) -> Table | None:
        """Return a table that a field refers to."""
        at = self.at(field)
        return _table(self.content, follow(self.content, at)) if at else None

    def tables(self, field: int) -> list[Table]:
        """Return a list of tables; none if the field is absent."""
        start, count = self._list(field, 4)
        if count > MAX_TABLES:
            raise ValueError(f"a list of {count} tables")
        return [_table(self.content, follow(self.content, start + 4 * n)) for n in range(count)]

    def numbers(self, field: int) -> tuple[int, ...]:
        """Return a list of int32, such as a shape or indices; none if the field is absent."""
        start, count = self._list(field, 4)
        if count > MAX_NUMBERS:
            raise ValueError(f"a list of {count} numbers")
        return struct.unpack_from(f"<{count}i", self.content, start)

    def count(self, field: int, size: int = 1) -> int:
        """Return the length of a list of elements of `size` bytes, or of a text."""
        return self._list(field, size)[1]

    def _list(self, field: int, size: int) -> tuple[int, int]:
        """Return where the elements of a list begin, and how many there are."""
        at = self.at(field)
        if not at:
            return 0, 0
        start = follow(self.content, at)
        (count,) = struct.unpack_from("<I", self.content, start)
        if start + 4 + count * size > len(self.content):
            raise ValueError("a list ends beyond the file")
        return start + 4, count


def follow(content: bytes, at: int) -> int:
    """Return where the offset at `at` leads."""
    return at + int(struct.unpack_from("<I", content, at)[0])


def root_of(content: bytes) -> Table:
    """Return the outermost table, of a .tflite its `Model`."""
    return _table(content, follow(content, 0))


def _table(content: bytes, start: int) -> Table:
    """Read a table's directory: where its fields are."""
    directory = start - int(struct.unpack_from("<i", content, start)[0])
    if directory < 0:
        raise ValueError("a table has no directory")
    length, size = struct.unpack_from("<HH", content, directory)
    if length < 4 or length % 2 or start + size > len(content):
        raise ValueError("a table ends beyond the file")
    fields = struct.unpack_from(f"<{length // 2 - 2}H", content, directory + 4)
    if any(place and not 4 <= place < size for place in fields):
        raise ValueError("a field lies outside of its table")
    return Table(content, start, size, fields)


class _Model:
    def __init__(self, content: bytes) -> None:
        if content[4:8] != IDENTIFIER:
            raise ValueError("not a TFLite model")
        self._content = content
        root = root_of(content)
        self._codes, self._graphs = root.tables(1), root.tables(2)
        self._buffers = [self._buffer(table) for table in root.tables(4)]
        self._root = root

    def verify(self) -> None:
        if not 0 < len(self._graphs) <= MAX_GRAPHS:
            raise ValueError(f"{len(self._graphs)} graphs")
        self._root.count(3)
        for code in self._codes:
            code.count(1)
            if code.number(0, "b") < 0 or code.number(3) < 0:
                raise ValueError("an unknown operator")
        _within(self._root.numbers(5), len(self._buffers), "buffer")
        for note in self._root.tables(6):
            note.count(0)
            _within([note.number(1, "I")], len(self._buffers), "buffer")
        counts = [self._graph(graph) for graph in self._graphs]
        self._signatures(counts)

    def _buffer(self, table: Table) -> int:
        """Return how many bytes a buffer holds, here or (in huge files) behind the tables."""
        start, size = table.number(1, "Q"), table.number(2, "Q")
        if start > 1 and start + size > len(self._content):
            raise ValueError("a buffer ends beyond the file")
        return size if start > 1 else table.count(0)

    def _graph(self, graph: Table) -> int:
        """Verify a graph; return how many tensors it has."""
        tensors = graph.tables(0)
        for tensor in tensors:
            self._tensor(tensor)
        graph.count(4)
        for field in (1, 2):
            _within(graph.numbers(field), len(tensors), "tensor")
        for operator in graph.tables(3):
            self._operator(operator, len(tensors))
        return len(tensors)

    def _tensor(self, tensor: Table) -> None:
        shape, kind = tensor.numbers(0), tensor.number(1, "b")
        tensor.count(3)
        if len(shape) > MAX_RANK or any(side < 0 for side in shape):
            raise ValueError("a tensor of impossible shape")
        if len(tensor.numbers(7)) not in (0, len(shape)):
            raise ValueError("a tensor of two shapes")
        buffer = tensor.number(2, "I")
        _within([buffer], len(self._buffers), "buffer")
        bits = ELEMENT_BITS.get(kind)
        sparse = tensor.table(6) is not None
        if bits is not None:
            needed = (math.prod(shape) * bits + 7) // 8
            if needed > MAX_TENSOR_BYTES:
                raise ValueError(f"a tensor of {needed >> 20} MiB")
            held = self._buffers[buffer]
            if held and not sparse and held != needed:
                raise ValueError(f"a tensor of {needed} bytes has {held}")
        quantization = tensor.table(4)
        if quantization is not None:
            _quantization(quantization, shape)

    def _operator(self, operator: Table, tensors: int) -> None:
        _within([operator.number(0, "I")], len(self._codes), "operator")
        # -1 is an input that was left out.
        _within([n for n in operator.numbers(1) if n != -1], tensors, "tensor")
        _within(operator.numbers(2), tensors, "tensor")
        _within([n for n in operator.numbers(8) if n != -1], tensors, "tensor")
        operator.count(5)
        operator.count(7)
        options = operator.table(4)
        if operator.number(3, "B") not in (RESHAPE_OPTIONS, SQUEEZE_OPTIONS):
            options = None
        if options is not None and len(options.numbers(0)) > MAX_RANK:
            raise ValueError("an operator wants an impossible shape")
        operator.table(12)

    def _signatures(self, tensors: list[int]) -> None:
        for signature in self._root.tables(7):
            signature.count(2)
            graph = signature.number(4, "I")
            _within([graph], len(tensors), "graph")
            for named in _chained(signature, 0, 1):
                named.count(0)
                _within([named.number(1, "I")], tensors[graph], "tensor")


def _chained(table: Table, *fields: int) -> Iterator[Table]:
    for field in fields:
        yield from table.tables(field)


def _quantization(table: Table, shape: Sequence[int]) -> None:
    """One scale for all, or one for each slice of a dimension; as many zero points."""
    for field in (0, 1):
        table.count(field, 4)
    scales, zeros = table.count(2, 4), table.count(3, 8)
    if scales and zeros not in (0, scales):  # without scales, runtimes ignore the zero points
        raise ValueError("a tensor has other zero points than scales")
    dimension = table.number(6)
    if scales > 1 and not (0 <= dimension < len(shape) and scales == shape[dimension]):
        raise ValueError("a tensor has other scales than slices")
    table.table(5)


def _within(numbers: Sequence[int], count: int, what: str) -> None:
    for number in numbers:
        if not 0 <= number < count:
            raise ValueError(f"{what} {number} of {count}")
