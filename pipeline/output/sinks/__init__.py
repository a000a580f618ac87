"""The outputs as stages at the end of the graph: packets to messages, and out.

A sink is one copy in one worker: its files and sockets have one writer.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.output.overlay import Outline
from pipeline.output.sinks.annotate import AnnotateSink
from pipeline.output.sinks.events import EventsSink, EvidenceSink
from pipeline.output.sinks.file import FileSink
from pipeline.output.sinks.post import PostSink
from pipeline.output.sinks.udp import UdpSink
from pipeline.output.spec import OutputSpec
from pipeline.payloads import Tracked
from pipeline.stage import Sink

_CLASSES: dict[str, type[Sink[Tracked]]] = {
    "udp": UdpSink,
    "file": FileSink,
    "events": EventsSink,
    "annotate": AnnotateSink,
    "post": PostSink,
}


def sink_class(spec: OutputSpec) -> type[Sink[Tracked]]:
    """The class of an output's sink."""
    if spec.events is not None and spec.events.pictures is not None:
        return EvidenceSink
    return _CLASSES[spec.name]


def build_sink(
    spec: OutputSpec,
    cameras: Sequence[str],
    labels: Sequence[str],
    outlines: Sequence[Outline] = (),
) -> Sink[Tracked]:
    """Makes an output's sink; nothing is opened yet.

    Args:
        cameras: ids of all cameras of the run.
        labels: class names by label index.
        outlines: of the rules' lines and zones, to be drawn.

    Raises:
        OutputError: the output does not fit the cameras.
    """
    if spec.udp is not None:
        return UdpSink(spec.udp, labels)
    if spec.file is not None:
        return FileSink(spec.file, cameras, labels)
    if spec.post is not None:
        return PostSink(spec.post, labels)
    if spec.events is not None:
        if spec.events.pictures is None:
            return EventsSink(spec.events, cameras, labels)
        return EvidenceSink(spec.events, cameras, labels, outlines)
    assert spec.annotate is not None  # an OutputSpec says exactly one
    return AnnotateSink(spec.annotate, cameras, labels, outlines)
