"""Cuts a graph in two: what depends on one frame alone, and what depends on those before it."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import GraphError
from pipeline.graph import Graph, Node
from pipeline.payloads import Tracked


@dataclass(frozen=True, slots=True)
class Halves:
    """A graph's stages and outputs, divided.

    Attributes:
        seeing: of these, a frame's result is the same whatever was before it.
        boundaries: those among them whose results the other half takes.
        following: from the first ones on that remember what was before, all that comes behind
            them; with the outputs.
    """

    seeing: tuple[Node, ...]
    boundaries: tuple[Node, ...]
    following: tuple[Node, ...]

    @property
    def looks(self) -> bool:
        """Whether the following half needs the pictures once more."""
        return any(node.stage.looks for node in self.following)


def halves(graph: Graph) -> Halves:
    """Divides a graph.

    What the seeing half makes for nobody in the other one is left out of it.
    """
    behind: set[str] = set()
    for node in graph.nodes:  # predecessors come first
        if node.remembers or node.is_sink or not behind.isdisjoint(node.after):
            behind.add(node.name)
    following = [node for node in graph.nodes if node.name in behind]
    given = {name for node in following for name in node.after} - behind
    needed = set(given)
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.after)
    return Halves(
        tuple(node for node in graph.nodes if node.name in needed),
        tuple(node for node in graph.nodes if node.name in given),
        tuple(following),
    )


def last_stage(graph: Graph) -> Node:
    """The stage whose results are a batch's.

    Raises:
        GraphError: there is not one stage at the end, or it gives no tracks.
    """
    ends = graph.ends()
    if len(ends) != 1:
        raise GraphError(
            f"a batch has the results of one last stage, but {' and '.join(ends)} have none behind "
            "them; join them, or leave all but one out"
        )
    node = graph.node(ends[0])
    if node.stage.produces is None or not issubclass(node.stage.produces, Tracked):
        raise GraphError(f"the last stage, {node.name!r}, gives no tracks; put a tracker behind it")
    return node
