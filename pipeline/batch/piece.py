"""A segment on its way through the graph that looks at it, until all of it is on the disk."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from pipeline.batch.footage import Footage
from pipeline.batch.job import SeeJob, Seen
from pipeline.batch.seen import About, Marker, SeenWriter, write_marker
from pipeline.graph import SOURCES
from pipeline.ledger import Ticket
from pipeline.packet import Packet


class Piece:
    """One segment; its source, its sinks and the ledger tell what becomes of its frames.

    Args:
        job: what is asked for.
        payloads: name of the packets' class at each boundary.
        when_over: called once, when all is known of it; under the ledger's lock, so not for long.

    Attributes:
        frames: that were let in by now.
    """

    def __init__(
        self, job: SeeJob, payloads: Mapping[str, str], when_over: Callable[[Piece], None]
    ) -> None:
        self.job = job
        self.frames = 0
        self._when_over = when_over
        self._lock = threading.Lock()
        self._under_way = 1  # its source; then, beside it, frames
        self._dropped: dict[int, str] = {}
        self._footage: Footage | None = None
        self._error = ""
        self._writers: dict[str, SeenWriter] = {}
        with self._noting():
            job.folder.mkdir(parents=True, exist_ok=True)
            for at, payload in payloads.items():
                about = About(job.clip.name, job.segment.number, at, payload)
                self._writers[at] = SeenWriter(job.folder, about)

    def let_in(self) -> None:
        """Its source gives another frame."""
        with self._lock:
            self.frames += 1
            self._under_way += 1

    def follow(self, packet: Packet[Any], when_ended: Callable[[], None]) -> None:
        """Waits for the frame's end; its packet is one of those that have not ended."""
        # Not the packet: it would hold its picture, and its ticket, which holds this.
        pts_ns = packet.frame.pts_ns
        packet.ticket.ended = partial(self._frame_ended, packet.ticket, pts_ns, when_ended)

    def write(self, at: str, packet: Packet[Any]) -> None:
        """A frame got to a boundary; each boundary has a thread of its own."""
        with self._noting():
            if not self._error:
                self._writers[at].write(packet)

    def source_ended(self, footage: Footage, error: str) -> None:
        """There are no more frames.

        Args:
            footage: that they were of.
            error: why they are not all; empty where they are.
        """
        self._footage, self._error = footage, self._error or error
        self._one_less()

    def finish(self, bindings: Mapping[str, str]) -> Seen:
        """Makes what was seen safe, or removes it where not all was; once it is over."""
        job, footage = self.job, self._footage
        assert footage is not None  # its source has ended
        bindings = {SOURCES: footage.decoder, **bindings}
        seen = Seen(job.clip.name, job.segment.number, self.frames, dict(footage.faults), bindings)
        with self._noting():
            if not self._error:
                files = {at: writer.finish() for at, writer in self._writers.items()}
                write_marker(job.folder, Marker(seen, self._dropped, files))
        for writer in self._writers.values():
            writer.discard()
        return replace(seen, error=self._error)

    def _frame_ended(self, ticket: Ticket, pts_ns: int, when_ended: Callable[[], None]) -> None:
        ticket.ended = None  # so that nothing goes round in a circle and has to be searched for
        if ticket.dropped is not None:
            _, self._dropped[pts_ns] = ticket.dropped
        when_ended()
        self._one_less()

    def _one_less(self) -> None:
        with self._lock:
            self._under_way -= 1
            over = not self._under_way
        if over:
            self._when_over(self)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """What cannot be written ends this segment, and nothing else."""
        try:
            yield
        except OSError as error:
            self._error = self._error or f"{self.job.folder}: cannot be written: {error.strerror}"


class Pieces:
    """The segments that are in the graph, by the numbers of their frames.

    Args:
        payloads: name of the packets' class at each boundary.
        when_over: as of `Piece`.
    """

    def __init__(self, payloads: Mapping[str, str], when_over: Callable[[Piece], None]) -> None:
        self._payloads, self._when_over = payloads, when_over
        self._lock = threading.Lock()
        self._begun: deque[tuple[int, Piece]] = deque()  # with the number of the first frame
        self._frames = 0
        self._news: Counter[str] = Counter()

    def begin(self, job: SeeJob) -> Piece:
        """The next segment."""
        piece = Piece(job, self._payloads, self._over)
        with self._lock:
            self._begun.append((self._frames, piece))
        return piece

    def let_in(self, piece: Piece) -> None:
        """A frame comes of the segment that began last."""
        self._frames += 1
        piece.let_in()

    def of(self, packet: Packet[Any]) -> Piece:
        """The segment that a frame is of."""
        with self._lock:
            return next(p for first, p in reversed(self._begun) if first <= packet.frame.sequence)

    def follow(self, packet: Packet[Any]) -> None:
        """Waits for a frame's end, and counts it."""
        piece = self.of(packet)
        piece.follow(packet, partial(self._count, piece.job.clip.name))

    def news(self) -> Counter[str]:
        """How many frames of each clip ended since this was last asked."""
        with self._lock:
            news, self._news = self._news, Counter()
        return news

    def _count(self, clip: str) -> None:
        with self._lock:
            self._news[clip] += 1

    def _over(self, piece: Piece) -> None:
        with self._lock:
            self._begun = deque(entry for entry in self._begun if entry[1] is not piece)
        self._when_over(piece)
