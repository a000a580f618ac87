"""One stage alone, on packets from a recording."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.errors import GraphError
from pipeline.graph import Graph
from pipeline.packet import Packet
from pipeline.recording.codec import PAYLOADS
from pipeline.recording.file import Recording
from pipeline.stage import Run, drive


def replay(graph: Graph, stage: str, recording: Recording) -> Iterator[Packet[Any]]:
    """What the stage makes of the recorded packets.

    Args:
        graph: as `pipeline.build` gives it; of it only this stage is started.
        stage: its name.
        recording: of what a predecessor handed on, or another stage of the same kind.

    Raises:
        GraphError: there is no such stage, it joins branches, or it takes another payload.
    """
    node = graph.node(stage)
    given = PAYLOADS[recording.about.payload]
    if node.stage.joins or not issubclass(given, node.stage.consumes):
        raise GraphError(
            f"stage {stage!r} takes {node.stage.consumes.__name__}, but the recording has what "
            f"{recording.about.at!r} gives, {given.__name__}; record at "
            f"{' or '.join(map(repr, node.after))}"
        )
    return drive(node.make(Run(0)), recording.packets())
