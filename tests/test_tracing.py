from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest

from pipeline.crew import Batch
from pipeline.errors import PacketError
from pipeline.graph import Camera, Graph, Node
from pipeline.ledger import Ledger
from pipeline.media.picture import BgrPicture
from pipeline.media.source import Source, SourceFrame, SourceInfo
from pipeline.packet import Packet
from pipeline.payloads import Decoded
from pipeline.queues import OnFull
from pipeline.stage import Sink, Stage
from pipeline.supervisor import Supervisor
from pipeline.tracing import Mark, Moment, Span, Trace, Tracer, chrome_trace

PICTURE = BgrPicture(np.zeros((4, 6, 3), np.uint8))
MS = 1_000_000


class Frames(Source):
    """Twelve frames at 25 fps."""

    def open(self) -> SourceInfo:
        return SourceInfo(6, 4, 25.0, 12, None, "test", False, "none")

    def frames(self) -> Iterator[SourceFrame]:
        for index in range(12):
            yield SourceFrame(index, index * 40 * MS, PICTURE)

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        pass


class Look(Stage[Decoded, Decoded]):
    """Hands on; drops the frame 6, unless it is in a batch."""

    consumes = Decoded
    produces = Decoded

    def process(self, packet: Packet[Decoded]) -> Sequence[Packet[Decoded]]:
        if packet.frame.sequence == 6:
            raise PacketError("bad_picture")
        return (packet,)

    def process_batch(
        self, packets: Sequence[Packet[Decoded]]
    ) -> Sequence[Sequence[Packet[Decoded]]]:
        return [(packet,) for packet in packets]


class End(Sink[Decoded]):
    consumes = Decoded

    def write(self, packet: Packet[Decoded]) -> None:
        pass


def traced(tracer: Tracer, *, workers: int = 1, batch: int = 1) -> list[Trace]:
    nodes = [
        Node("look", Look, lambda run: Look(), ("decode",), workers=workers, batch=Batch(batch)),
        Node("left", End, lambda run: End(), ("look",)),
        Node("right", End, lambda run: End(), ("look",)),
    ]
    cameras = [Camera(name, "test", Frames, on_full=OnFull.BLOCK) for name in ("gate", "yard")]
    report = Supervisor(Graph(cameras, nodes), tracer=tracer).run()
    assert report.exit_code == 0
    return tracer.traces


@pytest.mark.parametrize(("workers", "batch"), [(1, 1), (3, 1), (2, 4)])
def test_a_frame_is_seen_in_every_queue_and_stage(workers: int, batch: int) -> None:
    (trace,) = traced(Tracer([("gate", 4)]), workers=workers, batch=batch)
    assert (trace.camera, trace.sequence) == ("gate", 4)
    seen = {(span.stage, span.what) for span in trace.spans()}
    assert seen == {
        *(
            (stage, what)
            for stage in ("look", "left", "right")
            for what in ("room", "queue", "work")
        ),
        ("look", "order"),
    }
    assert not trace.drops


def test_its_spans_lie_one_after_the_other() -> None:
    (trace,) = traced(Tracer([("yard", 9)]), workers=3)
    spans = {(span.stage, span.what): span for span in trace.spans()}
    way = [("look", "room"), ("look", "queue"), ("look", "work"), ("look", "order")]
    for before, after in pairwise(way):
        assert spans[before].begin_ns <= spans[before].end_ns == spans[after].begin_ns
    assert spans["look", "order"].end_ns <= spans["left", "room"].begin_ns
    assert spans["look", "work"].thread.startswith("look-")


def test_a_frame_that_is_dropped_says_where_and_why() -> None:
    (trace,) = traced(Tracer([("gate", 6)]))
    assert [mark.stage for mark in trace.drops] == ["look: bad_picture"]
    assert {span.stage for span in trace.spans()} == {"look"}


def test_every_so_many_frames_of_each_camera() -> None:
    traces = traced(Tracer(every=5))
    found = sorted((trace.camera, trace.sequence) for trace in traces)
    assert found == [(camera, n) for camera in ("gate", "yard") for n in (0, 5, 10)]


def test_no_more_are_kept_than_asked_for() -> None:
    assert len(traced(Tracer(every=1, most=7))) == 7


def test_other_frames_carry_nothing() -> None:
    assert Ledger().enter("gate").trace is None
    assert traced(Tracer([("nobody", 1)])) == []


def marked(*marks: tuple[Moment, str, int]) -> Trace:
    return Trace("gate", 7, 280 * MS, [Mark(moment, stage, at, "t") for moment, stage, at in marks])


def test_who_notes_late_that_a_frame_waits_is_not_believed() -> None:
    trace = marked(
        (Moment.PUT, "look", 10),
        (Moment.BEGIN, "look", 20),  # taken out at once, by another thread
        (Moment.QUEUED, "look", 25),
        (Moment.END, "look", 30),
    )
    assert trace.spans() == [
        Span("look", "room", 10, 20, "t"),
        Span("look", "queue", 20, 20, "t"),
        Span("look", "work", 20, 30, "t"),
    ]


def test_what_chrome_is_given() -> None:
    trace = marked((Moment.BEGIN, "look", 5 * MS), (Moment.END, "look", 7 * MS))
    trace.marks.append(Mark(Moment.DROP, "look: bad_picture", 7 * MS, "t"))
    events = json.loads(json.dumps(chrome_trace([trace])))["traceEvents"]
    (work,) = (event for event in events if event["ph"] == "X")
    assert work | {"pid": 0, "tid": 0} == {
        "ph": "X",
        "name": "look work",
        "cat": "work",
        "pid": 0,
        "tid": 0,
        "ts": 5000.0,
        "dur": 2000.0,
        "args": {"camera": "gate", "frame": 7, "pts_s": 0.28},
    }
    assert [event["name"] for event in events if event["ph"] == "i"] == [
        "dropped at look: bad_picture"
    ]
    names = {event["args"]["name"] for event in events if event["ph"] == "M"}
    assert names == {"camera gate", "t"}
