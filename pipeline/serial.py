"""A graph in a plain loop: the same stages, no threads and no queues, one frame after another.

For comparing stage by stage, where every intermediate result of a frame is wanted, and as the
yardstick of what threads gain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from pipeline.graph import SOURCES, Camera, Graph, Node
from pipeline.ledger import Ledger
from pipeline.media.sampling import FrameSampler
from pipeline.media.source import Source, SourceFrame
from pipeline.packet import FrameInfo, Packet
from pipeline.source_worker import entering
from pipeline.stage import Join, Run, Stage

#: What each stage gave for one frame, by the stage's name; under `SOURCES` the frame itself.
Step = Mapping[str, list[Packet[Any]]]
_Stages = list[tuple[Node, Stage[Any, Any]]]


class SerialRun(Iterator[Step]):
    """A graph under way: each `next` takes a frame of one camera, in turn, through all stages.

    Attributes:
        stages: open, by name.
    """

    def __init__(self, stages: Mapping[str, Stage[Any, Any]], steps: Iterator[Step]) -> None:
        self.stages = stages
        self._steps = steps

    def __next__(self) -> Step:
        return next(self._steps)


@contextmanager
def run_serially(graph: Graph) -> Iterator[SerialRun]:
    """Opens everything, and closes it at the end.

    Raises:
        SourceError, StageError: on entering, a camera or a stage does not open.
    """
    graph = graph.without_paused()
    with ExitStack() as stack:
        sources = {camera.id: camera.make() for camera in graph.cameras}
        for source in sources.values():
            stack.callback(source.close)
            source.open()
        run = Run()
        stages = [(node, node.make(run)) for node in graph.nodes]
        for _, stage in stages:
            stack.callback(stage.close)
            stage.open()
        frames = {camera.id: _taken(camera, sources[camera.id]) for camera in graph.cameras}
        yield SerialRun({node.name: stage for node, stage in stages}, _steps(frames, stages))


@contextmanager
def run_alone(graph: Graph) -> Iterator[Callable[[Step], Step]]:
    """Opens every stage of a graph for itself, and closes it at the end; no camera is opened.

    Gives what takes a step of another run of such a graph, and gives what each of the stages here
    makes of what its predecessors gave there. What a stage there gave back for a camera's next
    frame is given back here, so no stage goes on with what it, or one behind it, made itself; but
    what a stage remembers by itself is its own.

    Raises:
        StageError: on entering, a stage does not open.
    """
    with ExitStack() as stack:
        ways_back = {node.name: Run() for node in graph.nodes}
        stages = [(node, node.make(ways_back[node.name])) for node in graph.nodes]
        for _, stage in stages:
            stack.callback(stage.close)
            stage.open()

        def follow(given: Step) -> Step:
            made = {
                node.name: results(stage, [given.get(name, []) for name in node.after])
                for node, stage in stages
            }
            for node in (node for node in graph.nodes if node.returns_to):
                way_back = ways_back[node.returns_to].feedback(node.returns_to)
                for packet in given[node.name]:
                    way_back.give(packet.frame.camera, packet.payload.state)
            return made

        yield follow


def _taken(camera: Camera, source: Source) -> Iterator[SourceFrame]:
    """The frames that are not left at the entrance."""
    sampler = FrameSampler(camera.max_fps, camera.every)
    return (frame for frame in source.frames() if sampler.take(frame.index, frame.pts_ns))


def _steps(frames: dict[str, Iterator[SourceFrame]], stages: _Stages) -> Iterator[Step]:
    ledger = Ledger()
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
            packet = entering(header, frame, ledger.enter(camera))
            yield _step({SOURCES: [packet]}, stages)
        sequence += 1
    for number, (node, stage) in enumerate(stages, 1):
        _step({node.name: list(stage.flush())}, stages[number:])


def _step(given: dict[str, list[Packet[Any]]], stages: _Stages) -> Step:
    """Takes what is given through the stages, which come in an order that fits."""
    for node, stage in stages:
        given[node.name] = results(stage, [given.get(name, []) for name in node.after])
    return given


def results(stage: Stage[Any, Any], taken: Sequence[Sequence[Packet[Any]]]) -> list[Packet[Any]]:
    """What a stage makes of the packets that each of its predecessors gave for one frame."""
    if isinstance(stage, Join):
        return list(stage.join([packet for packets in taken for packet in packets]))
    return [result for packet in taken[0] for result in stage.process(packet)]
