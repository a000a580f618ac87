"""The ways out of a stage: an edge to each successor, and the ledger told of every drop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.ledger import Ledger
from pipeline.packet import Packet
from pipeline.queues import Closed, LaneQueue
from pipeline.tracing import Moment

AnyPacket = Packet[Any]
Inbox = LaneQueue[AnyPacket]


@dataclass(frozen=True, slots=True)
class Edge:
    """The way to one successor.

    Attributes:
        target: name of the successor, for the ledger.
        inboxes: one a worker where the successor keeps state per camera, else one for all.
        inbox_of: for each camera, which of the inboxes is its own.
        lane_of: for each camera, the lane to put into.
    """

    target: str
    inboxes: Sequence[Inbox]
    inbox_of: Mapping[str, int]
    lane_of: Mapping[str, str]

    def put(self, packet: AnyPacket) -> AnyPacket | None:
        """Puts the packet into its lane; gives back the packet that had to go for it."""
        camera = packet.frame.camera
        return self.inboxes[self.inbox_of[camera]].put(self.lane_of[camera], packet)

    def close(self) -> None:
        """This producer is done."""
        for inbox in self.inboxes:
            inbox.close_put()


class Outlet:
    """What a worker puts into: an edge to each successor; the ledger learns of every drop."""

    def __init__(self, owner: str, edges: Sequence[Edge], ledger: Ledger) -> None:
        self._owner = owner
        self._edges = edges
        self._ledger = ledger

    def put(self, packets: Sequence[AnyPacket]) -> None:
        """Puts each packet on every edge.

        Raises:
            Closed: a successor is gone; whatever could not be put is dropped as ``shutdown``.
        """
        closed = False
        for packet in packets:
            if packet.ticket.trace is not None:
                packet.ticket.trace.mark(Moment.LEAVE, self._owner)
            self._ledger.fork(packet.ticket, len(self._edges))
            for edge in self._edges:
                closed = not self._put_on(edge, packet) or closed
        if closed:
            raise Closed

    def _put_on(self, edge: Edge, packet: AnyPacket) -> bool:
        trace = packet.ticket.trace
        if trace is not None:
            trace.mark(Moment.PUT, edge.target)
        try:
            gone = edge.put(packet)
        except Closed:
            self._ledger.drop(packet.ticket, self._owner, "shutdown")
            return False
        if trace is not None:
            trace.mark(Moment.QUEUED, edge.target)
        if gone is not None:
            self._ledger.drop(gone.ticket, edge.target, "queue_full")
        return True

    def close(self) -> None:
        """This producer is done on every edge."""
        for edge in self._edges:
            edge.close()
