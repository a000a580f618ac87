"""Drives one copy of a stage: inbox → process → outlet.

It goes over to another graph the way it ends: it has its next post before its present inbox is
closed, drains that, and goes on there with the stage it has.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.crew import Crew, Taken
from pipeline.errors import PacketError, SightlineError
from pipeline.governor import refuse_late
from pipeline.ledger import Ledger
from pipeline.ordering import Meeting
from pipeline.outlet import AnyPacket
from pipeline.packet import Status
from pipeline.queues import Closed
from pipeline.sizes import size_of
from pipeline.stage import Join, Stage
from pipeline.tracing import Moment
from pipeline.worker import Failure, OnFailure, Timed, Worker

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Post:
    """Where a worker works.

    Attributes:
        crew: shared with the stage's other workers.
        branches: names of the predecessors of a joining stage, else None.
        gone: cameras that were there at the post before and are not any more.
    """

    crew: Crew
    branches: Sequence[str] | None = None
    gone: Sequence[str] = ()


class StageWorker(Worker):
    """Drives one copy of a stage.

    Args:
        stage_name: the stage's name, for the ledger and the failure report.
        index: which of the stage's workers this is, from 0.
        stage: the copy this worker owns.
        post: the first one.
        broken: set once the run failed or was aborted: nothing is to be finished any more.
        heir_of: whose work this one goes on with: it takes no packet before they have ended.
    """

    def __init__(
        self,
        stage_name: str,
        index: int,
        stage: Stage[Any, Any],
        post: Post,
        ledger: Ledger,
        on_failure: OnFailure,
        broken: threading.Event,
        heir_of: Sequence[StageWorker] = (),
    ) -> None:
        super().__init__(f"{stage_name}-{index}", ledger, on_failure)
        self.stage_name = stage_name
        self.stage = stage
        self._posts = deque([post])  # the present one, then those that follow
        self._broken = broken
        self._dismissed = threading.Event()
        self._before = heir_of
        self._is_sink = stage.produces is None
        self._meeting = _meeting(post)
        self._in_hand: list[Taken] = []

    @property
    def _crew(self) -> Crew:
        return self._posts[0].crew

    @property
    def settled(self) -> bool:
        """Whether it is at its last post."""
        return len(self._posts) == 1

    def follow(self, post: Post) -> None:
        """Goes on at another post once the inbox of the present one is closed and drained.

        That must not be closed yet.
        """
        self._posts.append(post)

    def dismiss(self) -> None:
        """Was never needed: the stage is closed without having finished anything."""
        self._dismissed.set()
        self.cancel()

    def cancel(self) -> list[AnyPacket]:
        """Takes no more; gives what waits in its inboxes."""
        return [packet for post in list(self._posts) for packet in post.crew.stop()]

    def _run(self) -> None:
        end = "shutdown"  # everything behind this stage is gone
        try:
            self.stage.open()
            self.opened.set()
            self._inherit()
            self._work_until_closed()
            while self._move():
                self._work_until_closed()
            if not (self._broken.is_set() or self._dismissed.is_set()):
                self._crew.outlet.put(list(self.stage.flush()))
            end = ""
        except Closed:
            pass
        except Exception as error:
            end = "stage_failed"
            self._on_failure(Failure(self.stage_name, error, fatal=True))
        finally:
            self._end(end)

    def _inherit(self) -> None:
        """Waits for those whose work this worker goes on with."""
        for worker in self._before:
            while not worker.join(_POLL_S):
                if self._dismissed.is_set() or self._broken.is_set():
                    return
            self.stage.succeed(worker.stage)
        self._before = ()

    def _move(self) -> bool:
        """Leaves a drained post for the next one; False: there is none."""
        if self.settled:
            return False
        self._leave()
        following = self._posts[1]
        for camera in following.gone:
            self._forget(camera)
        self._meeting = _meeting(following)
        self._posts.popleft()  # last: who sees that may send for one of these cameras again
        return True

    def _forget(self, camera: str) -> None:
        try:
            self.stage.forget(camera)
        except SightlineError as error:  # the camera is gone all the same, and the others are not
            self._on_failure(Failure(self.stage_name, error, fatal=False))

    def _leave(self) -> None:
        """Leaves the present post: what is still held back there is given up."""
        if self._meeting is not None:
            self._drop_all(self._meeting.abandon(), "incomplete")
        self._drop_all(self._crew.leave(), "shutdown")

    def _work_until_closed(self) -> None:
        while True:
            self.stage.ready()
            try:
                self._in_hand = self._crew.take()
            except Closed:
                return
            self._mark(Moment.BEGIN)
            if self._meeting is not None and isinstance(self.stage, Join):
                self._join_in_hand(self.stage, self._meeting)
            elif len(self._in_hand) == 1:
                self._process_in_hand()
            else:
                self._process_batch_in_hand()

    def _process_in_hand(self) -> None:
        packet = self._in_hand[0].packet
        with Timed(self.metrics, 1, self.stage.recurrent):
            try:
                if self._is_sink:
                    refuse_late(packet.ticket, time.monotonic_ns())
                results = list(self.stage.process(packet))
            except PacketError as error:
                self._drop(packet, error.reason)
                results = []
            else:
                self._settle(packet)
        self._mark(Moment.END)
        self._hand_on(results)

    def _process_batch_in_hand(self) -> None:
        packets = [taken.packet for taken in self._in_hand]
        with Timed(self.metrics, len(packets)):
            batches = self.stage.process_batch(packets)
        self._mark(Moment.END)
        for packet, results in zip(packets, batches, strict=True):
            self._settle(packet)
            self._hand_on(results)

    def _join_in_hand(self, stage: Join[Any, Any], meeting: Meeting[AnyPacket]) -> None:
        taken = self._in_hand[0]
        frame = taken.packet.frame
        complete, orphans = meeting.offer(taken.lane, frame.camera, frame.sequence, taken.packet)
        for orphan in orphans:
            self._drop(orphan, "incomplete")
        if complete is None:
            self._in_hand.clear()  # the meeting holds it now
            return
        self._ledger.join(taken.packet.ticket, len(complete))
        with Timed(self.metrics, 1):
            try:
                results = list(stage.join(complete))
            except PacketError as error:
                self._drop(taken.packet, error.reason)
                results = []
        self._mark(Moment.END)
        self._hand_on(results)

    def _hand_on(self, results: Sequence[AnyPacket]) -> None:
        """Hands on the results of the packet longest in hand; it is in hand no more."""
        taken = self._in_hand.pop(0)
        metrics = self.metrics
        metrics.age.add(time.monotonic_ns() - taken.packet.frame.entered_ns)
        for packet in results:
            metrics.hand_on(*size_of(packet.payload))
            metrics.blind += packet.status is Status.BLIND
        self._crew.hand_on(taken, results)

    def _mark(self, moment: Moment) -> None:
        """Notes it of the packets in hand that are traced."""
        for taken in self._in_hand:
            if taken.packet.ticket.trace is not None:
                taken.packet.ticket.trace.mark(moment, self.stage_name)

    def _settle(self, packet: AnyPacket) -> None:
        if self._is_sink:
            self.metrics.emitted += 1
            self._ledger.emit(packet.ticket)

    def _drop(self, packet: AnyPacket, reason: str) -> None:
        self._ledger.drop(packet.ticket, self.stage_name, reason)

    def _end(self, reason: str) -> None:
        """Accounts for every packet this worker still answers for, then closes both sides.

        Args:
            reason: why the worker ends early; empty where its inbox was drained.
        """
        # Their turn never comes: what other workers made of later frames is held back, and given up
        # by the last one to leave, so that a run that failed leaves no gap.
        for taken in self._in_hand:
            self._drop(taken.packet, reason)
        self._in_hand.clear()
        if reason:
            self._drop_all(self.cancel(), "shutdown")
        try:
            self.stage.close()
        except Exception as error:
            self._on_failure(Failure(self.stage_name, error, fatal=True))
        self._leave()
        while not self.settled:
            self._posts.popleft()
            self._leave()
        self.opened.set()

    def _drop_all(self, packets: Sequence[AnyPacket], reason: str) -> None:
        for packet in packets:
            self._drop(packet, reason)

    def give_up(self) -> None:
        for taken in self._in_hand:
            self._drop(taken.packet, "stuck")


def _meeting(post: Post) -> Meeting[AnyPacket] | None:
    return Meeting(post.branches) if post.branches else None
