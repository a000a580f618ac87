"""The first half: segments are looked at, one behind the other, in one graph that runs on.

So engines are opened once, and while the last frames of a segment are in the stages, the first ones
of the next are decoded. A segment is over when its source is, and the end of each of its frames is
known; it waits for no other one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

from pipeline.batch.busy import Busy
from pipeline.batch.footage import Footage
from pipeline.batch.halves import halves
from pipeline.batch.job import Answer, SeeJob, Under
from pipeline.batch.piece import Piece, Pieces
from pipeline.builder import build
from pipeline.config import BatchRunConfig, PipelineConfig
from pipeline.errors import SourceError
from pipeline.graph import SOURCES, Camera, Graph, Node
from pipeline.media.source import Source, SourceFrame, SourceInfo
from pipeline.packet import Packet
from pipeline.payloads import Decoded
from pipeline.report import RunReport
from pipeline.stage import Sink
from pipeline.supervisor import Supervisor
from pipeline.worker import Background

#: How often is told how many frames were looked at, seconds.
TELL_S = 0.25
#: Stands for all clips: nothing in this half knows one from another.
_CAMERA = "clip"
_NOTHING_YET = SourceInfo(0, 0, None, None, None, "", True, "")

Jobs = SimpleQueue[SeeJob | None]


class JobSource(Source):
    """The frames of one segment after another, as they are asked for; ends at a None.

    Args:
        jobs: what is asked for.
        pieces: told of each segment's beginning, frames and end.
        options: which frames, and with which decoder.
    """

    live = True  # it waits for jobs, which is no work

    def __init__(self, jobs: Jobs, pieces: Pieces, options: BatchRunConfig) -> None:
        super().__init__()
        self._jobs, self._pieces, self._options = jobs, pieces, options

    def open(self) -> SourceInfo:
        return _NOTHING_YET

    def frames(self) -> Iterator[SourceFrame]:
        for job in iter(self._jobs.get, None):
            yield from self._segment(job, self._pieces.begin(job))

    def _segment(self, job: SeeJob, piece: Piece) -> Iterator[SourceFrame]:
        error = ""
        footage = Footage(job.clip, job.segment, self._options)
        try:
            for frame in footage.frames():
                self._pieces.let_in(piece)
                yield frame
        except SourceError as failed:
            error = str(failed)
        piece.source_ended(footage, error)

    def close(self) -> None:
        pass  # each segment's source is closed behind its last frame

    def interrupt(self) -> None:
        self._jobs.put(None)


class SeenSink(Sink[Any]):
    """Writes what gets to one boundary.

    Args:
        at: the boundary.
        pieces: say which segment a frame is of.
    """

    consumes = object

    def __init__(self, at: str, pieces: Pieces) -> None:
        self._at, self._pieces = at, pieces

    def write(self, packet: Packet[Any]) -> None:
        self._pieces.of(packet).write(self._at, packet)


class EnteredSink(SeenSink):
    """Writes which frames entered, and sees that their ends are heard of."""

    def write(self, packet: Packet[Any]) -> None:
        # Of a frame that is here a branch has not ended, so its end is still to come.
        self._pieces.follow(packet)
        super().write(packet)


class Seer:
    """Looks at segments.

    Args:
        config: as `pipeline.batch.settings` gives it.
        answer: told of each segment that is safe or could not be read, and now and then of how far
            it is; from several threads.

    Raises:
        SightlineError: as `pipeline.builder.build`.
    """

    def __init__(self, config: PipelineConfig, answer: Callable[[Answer], None]) -> None:
        self._answer = answer
        self._busy = Busy()
        self._jobs: Jobs = SimpleQueue()
        self._over: SimpleQueue[Piece | None] = SimpleQueue()
        divided = halves(build(config))
        boundaries = {SOURCES: Decoded} | {n.name: n.stage.produces for n in divided.boundaries}
        names = {at: kind.__name__ for at, kind in boundaries.items() if kind is not None}
        self._pieces = Pieces(names, self._over.put)
        source = JobSource(self._jobs, self._pieces, config.batch)
        sinks = [self._sink(at) for at in names]
        camera = Camera(_CAMERA, "", lambda: source, live=True)
        self._supervisor = Supervisor(Graph((camera,), (*divided.seeing, *sinks)))

    def give(self, job: SeeJob) -> None:
        """One segment more; from any thread."""
        self._jobs.put(job)

    def finish(self) -> None:
        """No segment will come any more; from any thread."""
        self._jobs.put(None)

    def run(self) -> None:
        """Works until all is done.

        Raises:
            PipelineError: a stage failed for good; what was under way is not answered.
        """
        finishing = Background("finish", self._finish)
        self._supervisor.start()
        finishing.start()
        report = self._supervisor.wait(self._tell, TELL_S)
        self._tell(report)
        self._over.put(None)
        finishing.stop()
        report.raise_for_failure()

    def _sink(self, at: str) -> Node:
        kind = EnteredSink if at == SOURCES else SeenSink
        return Node(f"seen at {at}", kind, lambda run: kind(at, self._pieces), (at,))

    def _finish(self, stop: threading.Event) -> None:
        for piece in iter(self._over.get, None):
            stages = self._supervisor.report().stages
            bound = {stage.name: stage.binding for stage in stages if stage.binding}
            self._answer(piece.finish(bound))

    def _tell(self, report: RunReport) -> None:
        for clip, frames in self._pieces.news().items():
            self._answer(Under(clip, frames, self._busy.since(report)))
