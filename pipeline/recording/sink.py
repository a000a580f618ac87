"""record: whatever a stage hands on, into a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.graph import SOURCES, Graph, Node
from pipeline.packet import Packet
from pipeline.payloads import Decoded
from pipeline.recording.file import About, RecordingWriter
from pipeline.stage import Run, Sink


class RecordSink(Sink[Any]):
    """Writes every packet of one stage boundary; a run that fails leaves no file.

    Args:
        path: of the recording.
        about: of the recording.
    """

    consumes = object
    looks = True

    def __init__(self, path: Path, about: About) -> None:
        self._path, self._about = path, about
        self._writer: RecordingWriter | None = None

    def open(self) -> None:
        self._writer = RecordingWriter(self._path, self._about)

    def write(self, packet: Packet[Any]) -> None:
        assert self._writer is not None  # `open` came first
        self._writer.write(packet)

    def flush(self) -> Iterable[Packet[Any]]:
        if self._writer is not None:
            self._writer.finish()
            self._writer = None
        return ()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.discard()


class _Nowhere(Sink[Any]):
    """Where packets end that nobody wants, of a stage that is needed for another."""

    consumes = object

    def write(self, packet: Packet[Any]) -> None:
        pass


def recording_graph(graph: Graph, at: str, path: Path) -> Graph:
    """The part of a graph that leads to a stage, with a recorder behind it.

    Args:
        graph: as `pipeline.build` gives it.
        at: the stage's name, or `SOURCES` for the decoded frames.
        path: of the recording.

    Raises:
        GraphError: there is no such stage.
    """
    leading = graph.leading_to(at)
    produces = Decoded if at == SOURCES else graph.node(at).stage.produces
    assert produces is not None  # `leading_to` refuses an output
    about = About(at, produces.__name__)

    def make(run: Run) -> RecordSink:
        return RecordSink(path, about)

    for end in leading.ends():
        if end != at:
            nowhere = Node(f"end of {end}", _Nowhere, lambda run: _Nowhere(), (end,))
            leading = leading.with_node(nowhere)
    sink = Node("record", RecordSink, make, (at,), about=f"to {path}")
    return leading.with_node(sink)
