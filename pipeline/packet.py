"""A packet: one frame's way through the graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Generic, TypeVar

from pipeline.ledger import Ticket

P = TypeVar("P", covariant=True)
Q = TypeVar("Q")


class Status(IntEnum):
    """What is known about a frame; travels to every output. Larger is worse."""

    OK = 0
    COASTING = 1  # not detected on purpose; the tracks are predictions
    DAMAGED = 2  # the picture, or what was made of it, is suspect
    STALLED = 3  # no new picture came
    BLIND = 4  # the engine failed: nothing is known about this frame


#: No detector sees such a frame; a damaged one may be seen all the same.
_UNSEEN = (Status.COASTING, Status.STALLED, Status.BLIND)


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """What stays the same on a frame's whole way.

    Attributes:
        camera: the camera's id from the configuration.
        sequence: counts the camera's frames that entered the graph, from 0, without gaps.
        index: the frame's place in its source, from 0; gaps where frames were not taken.
        pts_ns: presentation time in integer nanoseconds since the source's first frame.
        width: of the picture in pixels, after rotation.
        height: of the picture in pixels, after rotation.
        epoch: increases when the source's time line was re-anchored.
        entered_ns: monotonic clock when the frame entered the graph.
        utc_ns: wall-clock time of capture in nanoseconds, or None where unknown.
        utc_source: where `utc_ns` came from: ``"none"``, ``"host"`` or ``"rtcp"``.
    """

    camera: str
    sequence: int
    index: int
    pts_ns: int
    width: int
    height: int
    epoch: int = 0
    entered_ns: int = 0
    utc_ns: int | None = None
    utc_source: str = "none"


@dataclass(frozen=True, slots=True)
class Packet(Generic[P]):
    """A frame's header with what the last stage made of it.

    Attributes:
        frame: the header, shared by every packet of this frame.
        payload: not changed after it is handed on.
        ticket: the frame's line in the ledger.
        status: worst thing known so far.
        reason: why `status` is not OK, in a few words; empty when it is.
        engine: id of the engine that ran the last network, as in the configuration.
        seen: False where no detector saw the frame, for whatever reason: nothing was found because
            nobody looked, and tracks coast.
    """

    frame: FrameInfo
    payload: P
    ticket: Ticket
    status: Status = Status.OK
    reason: str = ""
    engine: str = ""
    seen: bool = True

    def carrying(self, payload: Q, *, engine: str | None = None) -> Packet[Q]:
        """This frame with the next payload."""
        return Packet(
            self.frame,
            payload,
            self.ticket,
            self.status,
            self.reason,
            self.engine if engine is None else engine,
            self.seen,
        )

    def marked(self, status: Status, reason: str) -> Packet[P]:
        """This frame with a worse status; a status never gets better on the way."""
        seen = self.seen and status not in _UNSEEN
        if status > self.status:
            return replace(self, status=status, reason=reason, seen=seen)
        return self if seen == self.seen else replace(self, seen=seen)

    def unseen(self, status: Status, reason: str) -> Packet[P]:
        """This frame with a worse status, and not to be looked at by any detector."""
        return replace(self.marked(status, reason), seen=False)
