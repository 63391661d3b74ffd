"""Some operators of a .tflite as a model of their own.

Nothing is copied or converted: the list of operators is shortened in place, and new lists of inputs
and outputs are appended to the same bytes. Weights, types and options are those of the model. The
numbers of the fields are those of TFLite's schema.fbs.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from emo_edge.errors import ModelError
from emo_edge.flatbuffer import follow, root_of

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
        self._model = root_of(flatbuffer)
        graphs = self._model.tables(SUBGRAPHS)
        if len(graphs) != 1:
            raise ModelError(f"the model has {len(graphs)} graphs: its operators cannot be timed")
        self._graph = graphs[0]
        self._operators = self._graph.tables(OPERATORS)
        self.inputs, self.outputs = self._graph.numbers(INPUTS), self._graph.numbers(OUTPUTS)
        self.nodes = [
            Node(operator.numbers(INPUTS), operator.numbers(OUTPUTS))
            for operator in self._operators
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
        start = follow(self._bytes, self._graph.at(OPERATORS))
        struct.pack_into("<I", content, start, len(chosen))
        for place, number in enumerate(chosen):  # never a later place: offsets stay positive
            at = start + 4 + 4 * place
            struct.pack_into("<I", content, at, self._operators[number].start - at)
        for number, tensors in ((INPUTS, inputs), (OUTPUTS, outputs)):
            content += b"\0" * (-len(content) % 4)
            field = self._graph.at(number)
            struct.pack_into("<I", content, field, len(content) - field)
            content += struct.pack(f"<I{len(tensors)}i", len(tensors), *tensors)
        if self._model.at(SIGNATURES):  # they name tensors that are gone
            struct.pack_into("<H", content, self._model.entry(SIGNATURES), 0)
        return bytes(content)
