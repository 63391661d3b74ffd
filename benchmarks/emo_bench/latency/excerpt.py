"""Some operators of a .tflite as a model of their own.

Nothing is copied or converted: the list of operators is shortened in place, and new lists of inputs
and outputs are appended to the same bytes. Weights, types and options are those of the model. The
layout of tables and vectors is that of FlatBuffers, the numbers of the fields are those of
TFLite's schema.fbs.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from emo_edge.errors import ModelError

SUBGRAPHS, SIGNATURES = 2, 7  # of a Model
INPUTS, OUTPUTS, OPERATORS = 1, 2, 3  # of a SubGraph; the first two of an Operator too


@dataclass(frozen=True)
class Node:
    """An operator: the tensors that it reads and makes."""

    inputs: Sequence[int]
    outputs: Sequence[int]


class Graph:
    """The graph of a .tflite, to be taken apart.

    Args:
        flatbuffer: The model without its metadata.

    Attributes:
        inputs, outputs: Its tensors.
        nodes: Its operators, in the order in which they run.
        moving: Numbers of those that depend on the inputs; the others work on weights alone.

    Raises `ModelError` if it has more than one graph (control flow).
    """

    def __init__(self, flatbuffer: bytes) -> None:
        self._bytes = flatbuffer
        self._model = self._follow(0)
        graphs = self._tables(self._model, SUBGRAPHS)
        if len(graphs) != 1:
            raise ModelError(f"the model has {len(graphs)} graphs: its operators cannot be timed")
        self._graph = graphs[0]
        self.inputs = self._integers(self._graph, INPUTS)
        self.outputs = self._integers(self._graph, OUTPUTS)
        self.nodes = [
            Node(self._integers(table, INPUTS), self._integers(table, OUTPUTS))
            for table in self._tables(self._graph, OPERATORS)
        ]
        self.moving = self._find_moving()

    def excerpt(self, wanted: Collection[int]) -> bytes:
        """Return a model of the operators with the numbers `wanted`.

        Its inputs are what they read of others, its outputs what others read of them. Operators
        that work on weights alone (float16 weights made float32) come with their readers.
        """
        chosen = sorted({*wanted, *self._fixed_before(wanted)})
        made = {tensor for number in chosen for tensor in self.nodes[number].outputs}
        read = {tensor for number in chosen for tensor in self.nodes[number].inputs}
        moving = {t for number in self.moving for t in self.nodes[number].outputs} | {*self.inputs}
        elsewhere = {*self.outputs}
        for number, node in enumerate(self.nodes):
            if number not in chosen:
                elsewhere.update(node.inputs)
        given = {tensor for number in wanted for tensor in self.nodes[number].outputs} & elsewhere
        return self._written(chosen, sorted((read & moving) - made), sorted(given))

    def _find_moving(self) -> set[int]:
        """Return the operators that depend on the model's inputs."""
        tensors, found = {*self.inputs}, set()
        for number, node in enumerate(self.nodes):
            if not tensors.isdisjoint(node.inputs):
                found.add(number)
                tensors.update(node.outputs)
        return found

    def _fixed_before(self, wanted: Collection[int]) -> set[int]:
        maker = {
            tensor: number
            for number, node in enumerate(self.nodes)
            for tensor in node.outputs
            if number not in self.moving
        }
        found: set[int] = set()
        waiting = list(wanted)
        while waiting:
            before = {maker[t] for t in self.nodes[waiting.pop()].inputs if t in maker} - found
            found |= before
            waiting += before
        return found

    def _written(
        self, chosen: Sequence[int], inputs: Sequence[int], outputs: Sequence[int]
    ) -> bytes:
        content = bytearray(self._bytes)
        vector = self._field(self._graph, OPERATORS)
        assert vector is not None  # there are nodes
        tables = self._tables(self._graph, OPERATORS)
        start = self._follow(vector)
        struct.pack_into("<I", content, start, len(chosen))
        for place, number in enumerate(chosen):  # never a later place: offsets stay positive
            at = start + 4 + 4 * place
            struct.pack_into("<I", content, at, tables[number] - at)
        for number, tensors in ((INPUTS, inputs), (OUTPUTS, outputs)):
            content += b"\0" * (-len(content) % 4)
            field = self._field(self._graph, number)
            assert field is not None  # a classifier has both
            struct.pack_into("<I", content, field, len(content) - field)
            content += struct.pack(f"<I{len(tensors)}i", len(tensors), *tensors)
        self._drop(content, self._model, SIGNATURES)
        return bytes(content)

    def _drop(self, content: bytearray, table: int, field: int) -> None:
        """Make a table say that it lacks a field: signatures name tensors that are gone."""
        entry = self._entry(table, field)
        if entry is not None:
            struct.pack_into("<H", content, entry, 0)

    def _entry(self, table: int, field: int) -> int | None:
        """Return where a table's vtable says where a field is; None if it has none."""
        vtable = table - self._read("<i", table)
        entry = vtable + 4 + 2 * field
        return entry if 2 * field + 4 < self._read("<H", vtable) else None

    def _field(self, table: int, field: int) -> int | None:
        entry = self._entry(table, field)
        offset = 0 if entry is None else self._read("<H", entry)
        return table + offset if offset else None

    def _follow(self, at: int) -> int:
        return at + self._read("<I", at)

    def _tables(self, table: int, field: int) -> list[int]:
        at = self._field(table, field)
        if at is None:
            return []
        start = self._follow(at)
        return [self._follow(start + 4 + 4 * i) for i in range(self._read("<I", start))]

    def _integers(self, table: int, field: int) -> tuple[int, ...]:
        at = self._field(table, field)
        if at is None:
            return ()
        start = self._follow(at)
        return struct.unpack_from(f"<{self._read('<I', start)}i", self._bytes, start + 4)

    def _read(self, kind: str, at: int) -> int:
        return int(struct.unpack_from(kind, self._bytes, at)[0])
