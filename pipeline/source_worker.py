"""Drives one camera: from its source into the graph."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from engines.isolation.restarts import Restart
from pipeline.clock import Clock
from pipeline.errors import SightlineError, SourceError
from pipeline.gate import Gate
from pipeline.ledger import Ledger, Ticket
from pipeline.media.sampling import FrameSampler
from pipeline.media.source import Condition, Source, SourceFrame, SourceInfo, SourceState
from pipeline.numbering import Numbering
from pipeline.outlet import Outlet
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.payloads import Decoded
from pipeline.queues import Closed
from pipeline.sizes import size_of
from pipeline.tracing import Tracer
from pipeline.worker import Failure, OnFailure, Timed, Worker

_POLL_S = 0.05


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
                ticket.trace = self._feed.tracer.trace(
                    header.camera, header.sequence, header.pts_ns
                )
            packet = entering(header, frame, ticket)
            self.metrics.hand_on(*size_of(packet.payload))
            self._outlet.put([packet])

    def _next(self, frames: Iterator[SourceFrame]) -> SourceFrame | None:
        with Timed(self.metrics, 0, self._waits):
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
