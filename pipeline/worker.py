"""Workers: the only place with threads, loops over queues, and a broad ``except``.

A `StageWorker` drives one copy of a stage: inbox → process → outlet. A `SourceWorker` drives one
camera. Both end by themselves: when their inbox is drained, when everything behind them is gone, or
when they failed. A worker that ends closes its inbox, so that upstream stops at its next put, and
its outlet, so that downstream drains; nothing else is needed to stop a graph.

The same way a worker goes over to another graph: it has its next post before its present inbox is
closed, drains that, and goes on there with the stage it has.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engines.isolation.restarts import Restart
from pipeline.clock import Clock
from pipeline.crew import Crew, Taken
from pipeline.errors import PacketError, SightlineError, SourceError
from pipeline.gate import Gate
from pipeline.governor import refuse_late
from pipeline.ledger import Ledger, Ticket
from pipeline.media.sampling import FrameSampler
from pipeline.media.source import Condition, Source, SourceFrame, SourceInfo, SourceState
from pipeline.metrics import StageMetrics
from pipeline.numbering import Numbering
from pipeline.ordering import Meeting
from pipeline.outlet import AnyPacket, Outlet
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.payloads import Decoded
from pipeline.queues import Closed
from pipeline.sizes import size_of
from pipeline.stage import Join, Stage
from pipeline.tracing import Moment, Tracer

_log = logging.getLogger(__name__)

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that went wrong for good.

    Attributes:
        where: stage or camera.
        error: what was raised.
        fatal: True where the run cannot go on; a camera's end is not fatal.
    """

    where: str
    error: Exception
    fatal: bool


OnFailure = Callable[[Failure], None]


class Worker(ABC):
    """One thread of the graph."""

    def __init__(self, name: str, ledger: Ledger, on_failure: OnFailure) -> None:
        self.name = name
        self.metrics = StageMetrics()
        self.opened = threading.Event()
        self._ledger = ledger
        self._on_failure = on_failure
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits for the thread's end; says whether it ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def ended(self) -> bool:
        """Whether its thread is over, or was never started."""
        return not self._thread.is_alive()

    def give_up(self) -> None:
        """The thread cannot be stopped: accounts for what it still has in hand."""

    @abstractmethod
    def _run(self) -> None:
        """The thread's body; never raises."""


class Background:
    """A thread beside the graph: a server, a watcher, a courier.

    Args:
        name: of the thread.
        body: runs until the event it is given is set, or for good; what it raises is kept.
    """

    def __init__(self, name: str, body: Callable[[threading.Event], None]) -> None:
        self.error: Exception | None = None
        self._body = body
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Asks the body to end and waits for that; says whether it did."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._body(self._stop)
        except Exception as error:
            self.error = error
            _log.exception("%s ended", self._thread.name)


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
        with _Timed(self.metrics, 1, self.stage.recurrent):
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
        with _Timed(self.metrics, len(packets)):
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
        with _Timed(self.metrics, 1):
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


class _Timed:
    """Adds the wall and processor time of a block to a worker's metrics.

    Args:
        packets: worked on in this block.
        waits: the block waits for somebody else, so only its processor time counts as busy.
    """

    __slots__ = ("_cpu_ns", "_metrics", "_packets", "_waits", "_wall_ns")

    def __init__(self, metrics: StageMetrics, packets: int, waits: bool = False) -> None:
        self._metrics = metrics
        self._packets = packets
        self._waits = waits

    def __enter__(self) -> None:
        self._cpu_ns = time.thread_time_ns()
        self._wall_ns = time.monotonic_ns()

    def __exit__(self, *exc: object) -> None:
        wall_ns = time.monotonic_ns() - self._wall_ns
        cpu_ns = time.thread_time_ns() - self._cpu_ns
        busy_ns = cpu_ns if self._waits else wall_ns
        metrics = self._metrics
        metrics.processed += self._packets
        metrics.busy_ns += busy_ns
        metrics.cpu_ns += cpu_ns
        metrics.service.add(busy_ns)


@dataclass(frozen=True, slots=True)
class Feed:
    """One camera as its worker needs it.

    Attributes:
        camera: the camera's id.
        make: makes its source.
        sampler: says which frames to take.
        realtime: True where a file is to be played at its own speed.
        max_age_ns: frames are not put out later than this after they entered; 0: they may wait.
        tracer: says whose way is noted.
    """

    camera: str
    make: Callable[[], Source]
    sampler: FrameSampler
    realtime: bool = False
    max_age_ns: int = 0
    tracer: Tracer | None = None


def entering(header: FrameInfo, frame: SourceFrame, ticket: Ticket) -> Packet[Decoded]:
    """A source's frame as it enters the graph: no detector sees what may not be trusted."""
    packet = Packet(header, Decoded(frame.picture), ticket)
    if frame.damaged:
        packet = packet.unseen(Status.DAMAGED, frame.damaged)
    return packet.marked(Status.STALLED, frame.stalled) if frame.stalled else packet


class SourceWorker(Worker):
    """Drives one camera: opens it, takes its frames in, and ends with it.

    Between two frames it can be turned to another graph (`redirect`) or sent away (`retire`); for
    that its gate is held.

    Args:
        feed: the camera.
        outlet: to the first stages.
        numbering: of the camera's frames; it goes on where a source is exchanged.
        stop: set when no more frames are wanted.
        heir_of: the camera's last worker: this one opens nothing before that has ended.

    Attributes:
        error: why the camera ended early; empty where it did not.
    """

    STAGE = "decode"

    def __init__(
        self,
        feed: Feed,
        outlet: Outlet,
        numbering: Numbering,
        ledger: Ledger,
        clock: Clock,
        stop: threading.Event,
        on_failure: OnFailure,
        heir_of: SourceWorker | None = None,
    ) -> None:
        super().__init__(f"{self.STAGE}-{feed.camera}", ledger, on_failure)
        self.camera = feed.camera
        self._info: SourceInfo | None = None
        self.error = ""
        self.gate = Gate()
        self.numbering = numbering
        self._feed = feed
        self._source: Source | None = None
        self._outlet = outlet
        self._feeding = True  # the outlet is open
        self._retired = False
        self._clock = clock
        self._stop = stop
        self._before = heir_of
        self._waits = False  # a live source's reads are mostly waiting

    def open(self) -> bool:
        """Opens the source, in the calling thread; a failure is reported and ends this camera."""
        try:
            self._source = self._feed.make()
            self._info = self._source.open()
        except Exception as error:
            self._fail(error)
        return self._info is not None

    @property
    def info(self) -> SourceInfo | None:
        """What is known of the source by now; None before it is open."""
        return (self._source.info if self._source else None) or self._info

    @property
    def faults(self) -> Mapping[str, int]:
        """What went wrong with the source so far, by name."""
        return self._source.faults if self._source else {}

    @property
    def condition(self) -> Condition:
        """How the source is doing, and why."""
        if not self._feeding:
            return Condition(SourceState.ENDED, self.error)
        if self.info is not None and self._source is not None and not self._source.live:
            return Condition(SourceState.LIVE)  # a file that could be opened is there
        return self._source.condition if self._source else Condition(SourceState.CONNECTING)

    @property
    def feeding(self) -> bool:
        """Whether more frames may come; while the gate is held, this does not change."""
        return self._feeding

    @property
    def restart(self) -> Restart:
        """How often the source's own process was started anew, where it has one."""
        return self._source.restart if self._source else Restart("decoder")

    def interrupt(self) -> None:
        """Ends a read that blocks."""
        if self._source is not None:
            self._source.interrupt()

    def redirect(self, outlet: Outlet) -> None:
        """The next frame goes into another outlet; the gate is held."""
        self._outlet.close()
        self._outlet = outlet
        if not self._feeding:
            outlet.close()

    def retire(self) -> None:
        """The camera is not wanted any more: gives no frame from now on; the gate is held."""
        self._retired = True
        self._close_outlet()
        self.interrupt()

    def _run(self) -> None:
        try:
            self._inherit()
            self.numbering.renew()
            if self._unwanted:
                return
            if (self._info is not None or self.open()) and self._source is not None:
                self.opened.set()
                self._read_until_end(self._source)
        except Closed:
            pass  # nobody takes frames any more
        except Exception as error:
            if not self._unwanted:  # an interrupted read may fail in any way
                self._fail(error)
        finally:
            self.close()

    @property
    def _unwanted(self) -> bool:
        return self._retired or self._stop.is_set()

    def _inherit(self) -> None:
        """Waits for the camera's last worker: a camera has one connection at a time."""
        while self._before is not None:
            if self._before.join(_POLL_S) or self._unwanted:
                self._before = None

    def _read_until_end(self, source: Source) -> None:
        frames = iter(source.frames())
        self._waits = source.live
        started_ns = -1
        while not self._unwanted:
            frame = self._next(frames)
            if frame is None:
                return
            ticket = self._ledger.enter(self.camera)
            if not (frame.stalled or self._feed.sampler.take(frame.index, frame.pts_ns)):
                self._ledger.drop(ticket, self.STAGE, "sampled")
                continue
            if self._feed.realtime:
                if started_ns < 0:
                    started_ns = self._clock.now_ns() - frame.pts_ns
                self._wait_until(started_ns + frame.pts_ns)
            self._hand_on(frame, ticket)

    def _hand_on(self, frame: SourceFrame, ticket: Ticket) -> None:
        with self.gate:
            if self._retired:
                self._ledger.drop(ticket, self.STAGE, "removed")
                return
            header = self.numbering.header(frame, self._clock.now_ns())
            if self._feed.max_age_ns:
                ticket.deadline_ns = header.entered_ns + self._feed.max_age_ns
            if self._feed.tracer is not None:
                ticket.trace = self._feed.tracer.trace(header)
            packet = entering(header, frame, ticket)
            self.metrics.hand_on(*size_of(packet.payload))
            self._outlet.put([packet])

    def _next(self, frames: Iterator[SourceFrame]) -> SourceFrame | None:
        with _Timed(self.metrics, 0, self._waits):
            frame = next(frames, None)
        self.metrics.processed += frame is not None
        return frame

    def _wait_until(self, moment_ns: int) -> None:
        ahead_ns = moment_ns - self._clock.now_ns()
        if ahead_ns > 0:
            self._clock.wait(self._stop, ahead_ns / 1e9)

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, SightlineError):
            error = SourceError(f"camera {self.camera!r}: {type(error).__name__}: {error}")
        self.error = self.error or str(error)
        self._on_failure(Failure(self.camera, error, fatal=False))

    def close(self) -> None:
        """Closes the source and tells the first stages that this camera is done."""
        if self._source is not None:
            try:
                self._source.close()
            except Exception as error:
                self._fail(error)
        with self.gate:
            self._close_outlet()
        self.opened.set()

    def _close_outlet(self) -> None:
        if self._feeding:
            self._feeding = False
            self._outlet.close()
