"""Who makes and who reads the tensors of a graph."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Links:
    """Nodes by the tensors between them, as the graph was when they were looked up.

    Attributes:
        makers: the node that makes a tensor, by the tensor's name.
        readers: the nodes that read a tensor, once for each time they do.
        outputs: names of the graph's outputs.
    """

    makers: dict[str, Any]
    readers: dict[str, list[Any]]
    outputs: frozenset[str]

    @classmethod
    def of(cls, graph: Any) -> Links:
        """The links of a graph."""
        readers: dict[str, list[Any]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                readers[name].append(node)
        makers = {name: node for node in graph.node for name in node.output}
        return cls(makers, readers, frozenset(value.name for value in graph.output))

    def sole_reader(self, name: str) -> Any | None:
        """The one node that reads a tensor; None where there are more, none, or it goes out."""
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.outputs else None


def bypass(graph: Any, node: Any) -> bool:
    """Takes out a node that gives its first input on as it came; says whether that was possible.

    It stays where an input or a weight goes out as it came, or one tensor under two names.
    """
    source, result = node.input[0], node.output[0]
    outputs = {value.name for value in graph.output}
    if result not in outputs:
        _rename(graph, result, source)
    elif source not in outputs and any(source in maker.output for maker in graph.node):
        _rename(graph, source, result)
    else:
        return False
    graph.node.remove(node)
    return True


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
