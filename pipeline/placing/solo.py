"""A stage alone, on what it was given in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.errors import StageError
from pipeline.graph import Graph, Node
from pipeline.packet import Packet, Status
from pipeline.serial import Step, results
from pipeline.stage import Run

_Packets = Sequence[Packet[Any]]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as a stage meets it.

    Attributes:
        taken: what each predecessor gave.
        back: what the stage gave that gives back to this one, for the camera's next frame.
    """

    taken: Sequence[_Packets]
    back: _Packets = ()

    @property
    def packets(self) -> list[Packet[Any]]:
        """All that was taken."""
        return [packet for packets in self.taken for packet in packets]

    @property
    def camera(self) -> str:
        """Of which it is; empty where nothing was given."""
        return next((packet.frame.camera for packet in self.packets), "")

    def later(self, by_ns: int) -> Frame:
        """The same at a later time."""
        return replace(self, taken=[[_later(p, by_ns) for p in packets] for packets in self.taken])


def frames_of(graph: Graph, name: str, given: Sequence[Step]) -> list[Frame]:
    """What a stage met.

    Args:
        graph: it is in.
        name: of the stage.
        given: what every stage gave for each frame.
    """
    after = graph.node(name).after
    giver = next((node.name for node in graph.nodes if node.returns_to == name), None)
    return [Frame([step[ahead] for ahead in after], step[giver] if giver else ()) for step in given]


class Solo:
    """One copy of a stage, with what is given back to it.

    Attributes:
        stage: to be opened and closed by whoever has it.
    """

    def __init__(self, node: Node) -> None:
        run = Run()
        self.stage = node.make(run)
        self._batch = node.batch.most
        self._way_back = run.feedback(node.name)
        self._way_back.close()  # so that nobody waits for what was not given

    def work(self, frames: Sequence[Frame]) -> None:
        """Every frame through the stage, so many at once.

        Raises:
            StageError: one comes out worse than it went in.
        """
        for start in range(0, len(frames), self._batch):
            several = frames[start : start + self._batch]
            given = [packet for frame in several for packet in frame.packets]
            worst = max((packet.status for packet in given), default=Status.OK)
            for packet in self._made(several, given):
                if packet.status > max(worst, Status.COASTING):
                    raise StageError(packet.reason)
            for packet in (packet for frame in several for packet in frame.back):
                self._way_back.give(packet.frame.camera, packet.payload.state)

    def _made(self, frames: Sequence[Frame], given: _Packets) -> _Packets:
        if self._batch == 1:
            return results(self.stage, frames[0].taken)
        return [packet for packets in self.stage.process_batch(given) for packet in packets]


def span_ns(frames: Sequence[Frame]) -> int:
    """From the first frame to one after the last."""
    times = {packet.frame.pts_ns for frame in frames for packet in frame.packets}
    played_ns = max(times, default=0) - min(times, default=0)
    return played_ns + played_ns // max(1, len(times) - 1) + 1


def _later(packet: Packet[Any], by_ns: int) -> Packet[Any]:
    return replace(packet, frame=replace(packet.frame, pts_ns=packet.frame.pts_ns + by_ns))
