"""What the workers of one stage share: the inbox, the outlet, and the order between them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.ordering import Resequencer
from pipeline.outlet import AnyPacket, Inbox, Outlet


@dataclass(frozen=True, slots=True)
class Batch:
    """How many packets a worker takes at once, and how long it waits for them."""

    most: int = 1
    wait_s: float = 0.0


@dataclass(slots=True)
class Taken:
    """One packet a worker has in hand, with its place among its camera's packets."""

    lane: str
    packet: AnyPacket
    number: int


class Crew:
    """Takes packets for the workers of one stage, and puts their results out in order.

    Args:
        workers: how many workers share this crew; with one, order needs no restoring.
    """

    #: A worker may be this many packets per worker ahead of a slow one; bounds what is held back.
    _AHEAD = 2

    def __init__(
        self, inbox: Inbox, outlet: Outlet, batch: Batch, cameras: Sequence[str], workers: int
    ) -> None:
        self.inbox = inbox
        self.outlet = outlet
        self._batch = batch
        self._workers = workers
        self._members = workers
        self._taking = threading.Lock()
        self._order: Resequencer[AnyPacket] = Resequencer()
        self._turn = {camera: threading.Condition() for camera in cameras}
        self._stopped = False

    def take(self) -> list[Taken]:
        """Waits for the next packets. Raises `Closed` when there will be none."""
        with self._taking:  # taking and numbering must be one step
            if self._batch.most == 1:
                got = [self.inbox.get()]
            else:
                got = self.inbox.get_batch(self._batch.most, self._batch.wait_s)
            return [Taken(lane, p, self._order.number(p.frame.camera)) for lane, p in got]

    def hand_on(self, taken: Taken, results: Sequence[AnyPacket]) -> None:
        """Puts a packet's results out as soon as all earlier ones of its camera are out."""
        if self._workers == 1:
            self.outlet.put(results)
            return
        camera = taken.packet.frame.camera
        turn = self._turn[camera]
        with turn:
            ready = self._order.submit(camera, taken.number, results)
            try:
                self.outlet.put(ready)
            finally:
                turn.notify_all()
            limit = self._AHEAD * self._workers
            while self._order.ahead(camera, taken.number) > limit and not self._stopped:
                turn.wait()

    def stop(self) -> list[AnyPacket]:
        """Takes no more: gives what was left in the inbox, and makes nobody wait for their turn."""
        left = self.inbox.close_get()
        self._stopped = True
        for turn in self._turn.values():
            with turn:
                turn.notify_all()
        return left

    def leave(self) -> list[AnyPacket]:
        """One worker is done; after the last one, gives what is still held back."""
        self.outlet.close()
        with self._taking:
            self._members -= 1
            return [] if self._members else self._order.abandon()
