"""What a stage is: work on packets, and nothing about threads or queues.

A worker drives a stage through its life: ``open``, then ``process`` once per packet, ``flush`` when
no more packets will come, and ``close`` always, also after a failure. A test drives it with a list
(`drive`). Where cameras come and go meanwhile, it hears of it by ``expect`` and ``forget``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from engines.isolation.restarts import Restart
from engines.traffic import Traffic
from pipeline.feedback import Feedback
from pipeline.governor import Governor
from pipeline.packet import Packet

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Run:
    """What a stage may know of the run it is made for.

    Attributes:
        governor: keeps what comes out fresh; None where there is no overload.
    """

    governor: Governor | None = None
    _feedbacks: dict[str, Feedback[Any]] = field(default_factory=dict, repr=False)

    def feedback(self, stage: str) -> Feedback[Any]:
        """The way back to the stage of that name; in one run it is the same for all who ask."""
        return self._feedbacks.setdefault(stage, Feedback())


class Stage(ABC, Generic[In, Out]):
    """One step of the graph.

    A stage raises `PacketError` to drop the packet at hand and `StageError` to stop the run. It
    never changes a payload it was given and never keeps one it has handed on.
    """

    #: Payload type this stage takes; must fit what its predecessor `produces`.
    consumes: ClassVar[type]
    #: Payload type this stage hands on; `None` for a sink.
    produces: ClassVar[type | None]
    #: True where the stage keeps state per camera: each camera then always meets the same copy.
    per_camera: ClassVar[bool] = False
    #: True where a camera's next frame waits for what a later stage gave back of its last one.
    recurrent: ClassVar[bool] = False
    #: True where the pixels of the frame's picture are needed, not only what was made of it.
    looks: ClassVar[bool] = False
    #: True for a `Join`.
    joins: ClassVar[bool] = False

    #: After `open`: what this copy really runs on, in which dtype; empty for plain Python.
    runs_on: str = ""

    def open(self) -> None:
        """Gets what the stage needs (network, socket); called first, in its worker's thread."""

    def ready(self) -> None:
        """Waits until the stage can use a packet; called before each is taken, and not for long."""

    @abstractmethod
    def process(self, packet: Packet[In]) -> Iterable[Packet[Out]]:
        """Works on one packet; gives none, one or more packets."""

    def process_batch(self, packets: Sequence[Packet[In]]) -> list[list[Packet[Out]]]:
        """Works on several packets at once; the k-th list belongs to the k-th packet.

        Only called where the stage declares a batch; the results must equal `process` one by one.
        """
        return [list(self.process(packet)) for packet in packets]

    def flush(self) -> Iterable[Packet[Out]]:
        """Hands on what is still held back, and finishes what is written; no packet follows.

        Not called where the run failed or was aborted: what such a run leaves is not finished.
        """
        return ()

    def expect(self, camera: str) -> None:
        """A camera comes that was not there when the stage was made; no packet of it came yet.

        Called while the stage is open, from a thread that is not its worker's, which may be at work
        on another camera's packet: it touches nothing of theirs. What it raises keeps the camera
        away, and then `forget` follows.
        """

    def forget(self, camera: str) -> None:
        """The camera is gone: what is kept of it is finished, and given back.

        Called between two packets, like `process`; it may come back as a new one.
        """

    def succeed(self, before: Stage[Any, Any]) -> None:
        """Comes after a stage of the same name that was another; called before the first packet.

        Args:
            before: closed; with several copies, each in turn.
        """

    def counts(self) -> Mapping[str, int]:
        """What this copy counts beside its packets, by name; called from any thread."""
        return {}

    def reasons(self) -> Mapping[str, str]:
        """Why each engine that ever failed this copy last did, by its id; from any thread."""
        return {}

    def restarts(self) -> Sequence[Restart]:
        """What this copy had to start anew after a failure, such as an engine; from any thread."""
        return ()

    def engine_reports(self) -> Sequence[Mapping[str, Any]]:
        """What each engine of this copy says of itself, while it is open; see `Engine.report`."""
        return ()

    def traffic(self) -> Mapping[str, Traffic]:
        """What went over the border of each engine this copy has, by its id; from any thread."""
        return {}

    def close(self) -> None:
        """Gives back what `open` got; the last call, also when `open` or `process` failed."""


class Join(Stage[In, Out]):
    """A stage that takes one packet of a frame from each of several predecessors."""

    joins = True
    per_camera = True  # the packets of a frame have to meet

    def process(self, packet: Packet[In]) -> Iterable[Packet[Out]]:
        return self.join((packet,))

    @abstractmethod
    def join(self, packets: Sequence[Packet[In]]) -> Iterable[Packet[Out]]:
        """Works on the packets of one frame, in the order of the predecessors in `after`."""


class Sink(Stage[In, Any]):
    """A stage at the end of a branch: it writes, and hands nothing on."""

    produces = None

    def process(self, packet: Packet[In]) -> Iterable[Packet[Any]]:
        self.write(packet)
        return ()

    @abstractmethod
    def write(self, packet: Packet[In]) -> None:
        """Puts one packet out. Raises `PacketError` when this packet could not be put out."""


def drive(stage: Stage[In, Out], packets: Iterable[Packet[In]]) -> Iterator[Packet[Out]]:
    """Runs a stage over packets in the caller's thread, through its whole life."""
    try:
        stage.open()
        for packet in packets:
            yield from stage.process(packet)
        yield from stage.flush()
    finally:
        stage.close()
