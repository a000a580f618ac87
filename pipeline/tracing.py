"""What happens to one frame, when: in every queue, stage and order, as a timeline.

A traced frame carries a `Trace` on its ticket; all others carry None, which is one look at an
attribute a stage. Exported traces are of the "Trace Event Format" that chrome://tracing and
ui.perfetto.dev read.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from sys import maxsize
from typing import Any


class Moment(StrEnum):
    """What may be noted of a frame."""

    ENTER = "enter"  # it is decoded, and enters the graph
    LEAVE = "leave"  # its turn has come: it goes to what is behind this stage
    PUT = "put"  # it waits for room before this stage, where that blocks
    QUEUED = "queued"  # it waits in this stage's inbox
    BEGIN = "begin"  # this stage works on it
    END = "end"
    DROP = "drop"  # it went no further, with the reason


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that happened to a frame.

    Attributes:
        moment: what.
        stage: where; of a drop with the reason behind a colon.
        at_ns: monotonic clock.
        thread: name of the thread that did it.
    """

    moment: Moment
    stage: str
    at_ns: int
    thread: str


@dataclass(frozen=True, slots=True)
class Span:
    """What a frame did for a while.

    Attributes:
        stage: at which stage.
        what: ``"room"``: waited until its inbox had room; ``"queue"``: waited in it; ``"work"``:
            was worked on; ``"order"``: was done, and waited for earlier frames of its camera.
        begin_ns: monotonic clock.
        end_ns: likewise.
        thread: name of the thread that ended it.
    """

    stage: str
    what: str
    begin_ns: int
    end_ns: int
    thread: str


#: Each span's first and last moment.
_SPANS = {
    "room": (Moment.PUT, Moment.QUEUED),
    "queue": (Moment.QUEUED, Moment.BEGIN),
    "work": (Moment.BEGIN, Moment.END),
    "order": (Moment.END, Moment.LEAVE),
}


@dataclass(slots=True, eq=False)
class Trace:
    """One frame's way; marks may come from any thread.

    Attributes:
        camera: the camera's id.
        sequence: which of the camera's frames.
        pts_ns: its presentation time.
    """

    camera: str
    sequence: int
    pts_ns: int
    marks: list[Mark] = field(default_factory=list)

    def mark(self, moment: Moment, stage: str) -> None:
        """This happens now."""
        thread = threading.current_thread().name
        self.marks.append(Mark(moment, stage, time.monotonic_ns(), thread))

    def spans(self) -> list[Span]:
        """What it did, by when it began; what it is still at is not among it."""
        found: dict[str, dict[Moment, Mark]] = defaultdict(dict)
        for mark in list(self.marks):
            found[mark.stage].setdefault(mark.moment, mark)
        spans = [span for stage, marks in found.items() for span in _spans(stage, marks)]
        return sorted(spans, key=lambda span: (span.begin_ns, span.end_ns))

    @property
    def drops(self) -> list[Mark]:
        """Where and why it went no further."""
        return [mark for mark in list(self.marks) if mark.moment is Moment.DROP]


class Tracer:
    """Says which frames are traced, and keeps their traces.

    Args:
        frames: pairs of a camera and its frame, counted from 0 as in every output's `sequence`.
        every: each camera's every so many frames, too; 0: none.
        most: traces that are kept; later frames are not traced.

    Attributes:
        traces: so far, in the order in which the frames entered.
    """

    def __init__(
        self, frames: Sequence[tuple[str, int]] = (), every: int = 0, most: int = 1000
    ) -> None:
        self.traces: list[Trace] = []
        self._frames, self._every, self._most = frozenset(frames), every, most

    def trace(self, camera: str, sequence: int, pts_ns: int) -> Trace | None:
        """The trace of a frame that enters now; None where it is not traced."""
        wanted = (camera, sequence) in self._frames
        if not wanted and not (self._every and sequence % self._every == 0):
            return None
        if len(self.traces) >= self._most:
            return None
        trace = Trace(camera, sequence, pts_ns)
        trace.mark(Moment.ENTER, "decode")
        self.traces.append(trace)
        return trace


def chrome_trace(traces: Sequence[Trace]) -> dict[str, Any]:
    """Traces as JSON values: a process per camera, a row per thread that worked on its frames."""
    cameras = {camera: n for n, camera in enumerate(sorted({t.camera for t in traces}), 1)}
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": n, "args": {"name": f"camera {camera}"}}
        for camera, n in cameras.items()
    ]
    rows: dict[tuple[int, str], int] = {}
    for trace in traces:
        pid = cameras[trace.camera]
        for span in trace.spans():
            row = span.thread if span.what == "work" else f"waiting for {span.stage}"
            tid = rows.setdefault((pid, row), len(rows) + 1)
            events.append(_event(trace, span, pid, tid))
        for drop in trace.drops:
            event = {"ph": "i", "name": f"dropped at {drop.stage}", "pid": pid, "s": "p"}
            events.append(event | {"ts": drop.at_ns / 1e3, "tid": 0})
    events += [
        {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": row}}
        for (pid, row), tid in rows.items()
    ]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _spans(stage: str, marks: Mapping[Moment, Mark]) -> Iterator[Span]:
    at_ns = {moment: mark.at_ns for moment, mark in marks.items()}
    if Moment.QUEUED in at_ns:
        # Whoever put it in may note so after another thread has taken it out.
        at_ns[Moment.QUEUED] = min(at_ns[Moment.QUEUED], at_ns.get(Moment.BEGIN, maxsize))
    for what, (first, last) in _SPANS.items():
        if first in marks and last in marks:
            yield Span(stage, what, at_ns[first], at_ns[last], marks[last].thread)


def _event(trace: Trace, span: Span, pid: int, tid: int) -> dict[str, Any]:
    """A complete event; its times are microseconds."""
    return {
        "ph": "X",
        "name": f"{span.stage} {span.what}",
        "cat": span.what,
        "pid": pid,
        "tid": tid,
        "ts": span.begin_ns / 1e3,
        "dur": (span.end_ns - span.begin_ns) / 1e3,
        "args": {"camera": trace.camera, "frame": trace.sequence, "pts_s": trace.pts_ns / 1e9},
    }
