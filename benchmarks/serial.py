"""The stages of a graph in a plain loop: no threads, no queues, the same work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from pipeline.graph import Graph
from pipeline.ledger import Ledger
from pipeline.media.source import Source
from pipeline.packet import FrameInfo, Packet
from pipeline.payloads import Decoded
from pipeline.stage import Run, Stage


@contextmanager
def run_serially(graph: Graph) -> Iterator[Iterator[int]]:
    """Opens everything; gives an iterator that takes one frame of each camera in turn through it.

    For graphs that are a chain and end in one sink or more. The iterator gives the index of every
    frame that was worked on.
    """
    with ExitStack() as stack:
        sources = {camera.id: camera.make() for camera in graph.cameras}
        for source in sources.values():
            stack.callback(source.close)
            source.open()
        stages = [node.make(Run(0)) for node in graph.nodes]
        for stage in stages:
            stack.callback(stage.close)
            stage.open()
        yield _loop(sources, stages)


def _loop(sources: dict[str, Source], stages: list[Stage[Any, Any]]) -> Iterator[int]:
    ledger = Ledger()
    frames = {camera: iter(source.frames()) for camera, source in sources.items()}
    sequence = 0
    while frames:
        for camera in list(frames):
            frame = next(frames[camera], None)
            if frame is None:
                del frames[camera]
                continue
            picture = frame.picture
            header = FrameInfo(
                camera, sequence, frame.index, frame.pts_ns, picture.width, picture.height
            )
            _work([Packet(header, Decoded(picture), ledger.enter(camera))], stages)
            yield frame.index
        sequence += 1
    for number, stage in enumerate(stages, 1):
        _work(list(stage.flush()), stages[number:])


def _work(packets: list[Packet[Any]], stages: list[Stage[Any, Any]]) -> None:
    for stage in stages:
        results = [result for packet in packets for result in stage.process(packet)]
        packets = packets if stage.produces is None else results  # the next sink takes them, too
