"""The graph runs: whatever happens, every frame's end is known."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.clock import ManualClock
from pipeline.crew import Batch
from pipeline.errors import GraphError, PacketError, PipelineError, SourceError, StageError
from pipeline.graph import Camera, Graph, Node
from pipeline.media.picture import BgrPicture
from pipeline.media.source import Source, SourceFrame, SourceInfo
from pipeline.packet import Packet, Status
from pipeline.payloads import Decoded
from pipeline.queues import OnFull
from pipeline.stage import Join, Run, Sink, Stage
from pipeline.supervisor import Supervisor

PICTURE = BgrPicture(np.zeros((4, 6, 3), np.uint8))


class Frames(Source):
    """A source of so many frames at 25 fps; may fail, wait, or never end."""

    def __init__(
        self,
        count: int = 20,
        *,
        fail_open: bool = False,
        fail_at: int | None = None,
        live: bool = False,
        gate: threading.Event | None = None,
    ) -> None:
        super().__init__()
        self.live = live
        self._count, self._fail_open, self._fail_at, self._gate = count, fail_open, fail_at, gate
        self._interrupted = threading.Event()
        self.closed = 0

    def open(self) -> SourceInfo:
        if self._fail_open:
            raise SourceError("no such file: x.mp4")
        return SourceInfo(6, 4, 25.0, self._count, None, "test", self.live, "none")

    def frames(self) -> Iterator[SourceFrame]:
        for index in range(self._count):
            if index == self._fail_at:
                raise SourceError("connection lost")
            if self._interrupted.is_set():
                return
            if self._gate is not None:
                self._gate.wait(10)
            damaged = "corrupt" if index == 3 else ""
            yield SourceFrame(index, index * 40_000_000, PICTURE, damaged=damaged)

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self.closed += 1


class Pass(Stage[Decoded, Decoded]):
    """Hands on; drops, fails or lags where told to."""

    consumes = Decoded
    produces = Decoded

    def __init__(self, act: Callable[[Packet[Decoded]], None] = lambda packet: None) -> None:
        self._act = act

    def process(self, packet: Packet[Decoded]) -> Iterable[Packet[Decoded]]:
        self._act(packet)
        return (packet,)


class HoldBack(Pass):
    """Keeps every packet until the end."""

    per_camera = True

    def __init__(self) -> None:
        super().__init__()
        self._held: list[Packet[Decoded]] = []

    def process(self, packet: Packet[Decoded]) -> Iterable[Packet[Decoded]]:
        self._held.append(packet)
        return ()

    def flush(self) -> Iterable[Packet[Decoded]]:
        return self._held


class Lose(Pass):
    """A faulty stage: packets go in and nothing comes out."""

    def process(self, packet: Packet[Decoded]) -> Iterable[Packet[Decoded]]:
        return ()


class Both(Join[Decoded, Decoded]):
    consumes = Decoded
    produces = Decoded

    def join(self, packets: Sequence[Packet[Decoded]]) -> Iterable[Packet[Decoded]]:
        assert len({packet.frame.sequence for packet in packets}) == 1
        return (packets[0],)


class Collect(Sink[Decoded]):
    """Keeps what comes, by camera."""

    consumes = Decoded

    def __init__(self) -> None:
        self.seen: dict[str, list[int]] = defaultdict(list)
        self.statuses: list[Status] = []
        self.opened = self.finished = self.closed = 0

    def open(self) -> None:
        self.opened += 1

    def write(self, packet: Packet[Decoded]) -> None:
        self.seen[packet.frame.camera].append(packet.frame.sequence)
        self.statuses.append(packet.status)

    def flush(self) -> Iterable[Packet[Any]]:
        self.finished += 1
        return ()

    def counts(self) -> Mapping[str, int]:
        return {"written": len(self.statuses)}

    def close(self) -> None:
        self.closed += 1


def camera(name: str = "cam", source: Source | None = None, **settings: Any) -> Camera:
    used = source or Frames()
    return Camera(name, f"test:{name}", lambda: used, used.live, **settings)


def node(
    name: str, stage: Stage[Any, Any] | Callable[[], Stage[Any, Any]], *after: str, **settings: Any
) -> Node:
    make = (lambda run: stage) if isinstance(stage, Stage) else (lambda run: stage())
    kind = type(make(Run()))
    return Node(name, kind, make, after or ("decode",), **settings)


def chain(
    stage: Stage[Any, Any] | Callable[[], Stage[Any, Any]], *cameras: Camera, **settings: Any
) -> tuple[Graph, Collect]:
    sink = Collect()
    nodes = (node("work", stage, **settings), node("out", sink, "work"))
    return Graph(cameras or (camera(),), nodes, drain_s=2.0), sink


def test_every_frame_arrives_in_order_and_the_ledger_balances() -> None:
    graph, sink = chain(Pass(), camera("a"), camera("b", Frames(7)))
    report = Supervisor(graph).run()
    assert sink.seen == {"a": list(range(20)), "b": list(range(7))}
    assert (report.entered, report.emitted, report.dropped, report.exit_code) == (27, 27, 0, 0)
    assert report.balanced
    assert [stage.name for stage in report.stages] == ["decode", "work", "out"]
    assert [stage.processed for stage in report.stages] == [27, 27, 27]
    assert report.stages[2].counts == {"written": 27}
    assert (sink.opened, sink.finished, sink.closed) == (1, 1, 1)


def test_a_damaged_picture_stays_marked_to_the_end() -> None:
    graph, sink = chain(Pass())
    Supervisor(graph).run()
    assert [i for i, status in enumerate(sink.statuses) if status is Status.DAMAGED] == [3]


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_side_by_side_keep_each_cameras_order(workers: int) -> None:
    meet = threading.Barrier(2)

    def overtake(packet: Packet[Decoded]) -> None:
        # Two workers always pair up here, so that they finish in any order.
        if packet.frame.sequence < 18:
            meet.wait(10)

    graph, sink = chain(lambda: Pass(overtake), camera("a"), workers=workers)
    report = Supervisor(graph).run()
    assert sink.seen == {"a": list(range(20))}
    assert report.balanced


def test_a_slow_worker_holds_back_what_overtook_it_and_no_more() -> None:
    release = threading.Event()
    taken: list[int] = []

    def first_is_slow(packet: Packet[Decoded]) -> None:
        taken.append(packet.frame.sequence)
        if packet.frame.sequence == 0:
            release.wait(10)
        elif packet.frame.sequence == 5:  # 2 workers may be 4 ahead: the next one waits its turn
            release.set()

    graph, sink = chain(lambda: Pass(first_is_slow), camera(), workers=2)
    assert Supervisor(graph).run().balanced
    assert sink.seen["cam"] == list(range(20))


def test_a_stage_with_state_always_meets_the_same_camera() -> None:
    met: dict[str, set[int]] = defaultdict(set)

    class Stateful(Pass):
        per_camera = True

        def process(self, packet: Packet[Decoded]) -> Iterable[Packet[Decoded]]:
            met[packet.frame.camera].add(id(self))
            return (packet,)

    cameras = [camera(name) for name in "abcd"]
    graph, sink = chain(Stateful, *cameras, workers=2)
    assert Supervisor(graph).run().balanced
    assert all(len(copies) == 1 for copies in met.values())
    assert len(set.union(*met.values())) == 2
    assert all(sink.seen[name] == list(range(20)) for name in "abcd")


def test_a_dropped_packet_is_counted_and_the_next_goes_on() -> None:
    def drop_odd(packet: Packet[Decoded]) -> None:
        if packet.frame.sequence % 2:
            raise PacketError("odd", "is odd")

    graph, sink = chain(lambda: Pass(drop_odd), workers=2)
    report = Supervisor(graph).run()
    assert sink.seen["cam"] == list(range(0, 20, 2))
    assert report.ledger["cam"].dropped == {("work", "odd"): 10}
    assert report.stages[1].dropped == {"odd": 10}
    assert report.exit_code == 0


def test_a_stage_that_loses_packets_is_found_out() -> None:
    graph, _ = chain(Lose())
    report = Supervisor(graph).run()
    assert report.ledger["cam"].missing == 20
    assert report.exit_code == 4


def test_what_a_stage_holds_back_comes_with_the_flush() -> None:
    graph, sink = chain(HoldBack())
    assert Supervisor(graph).run().exit_code == 0
    assert sink.seen["cam"] == list(range(20))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_failing_stage_ends_the_run_with_its_error_first(workers: int) -> None:
    class Broken(Pass):
        def process(self, packet: Packet[Decoded]) -> Iterable[Packet[Decoded]]:
            if packet.frame.sequence == 5:
                raise RuntimeError("the weights are gone")
            return (packet,)

        def close(self) -> None:
            raise OSError("and closing fails too")

    source = Frames(1000)
    graph, sink = chain(Broken, camera("cam", source), workers=workers)
    report = Supervisor(graph).run()
    assert report.exit_code == 1
    assert report.balanced
    assert "weights" in str(report.failures[0].error)
    assert (sink.finished, sink.closed) == (0, 1)  # what a broken run leaves is not finished
    assert sink.seen["cam"] == list(range(len(sink.seen["cam"])))
    assert source.closed
    with pytest.raises(PipelineError) as caught:
        report.raise_for_failure()
    assert "weights" in str(caught.value.exceptions[0])


def test_nothing_comes_out_behind_the_frame_at_which_a_worker_failed() -> None:
    later = threading.Semaphore(0)

    class Broken(Pass):
        def process(self, packet: Packet[Decoded]) -> Iterable[Packet[Decoded]]:
            if packet.frame.sequence == 5:
                assert all(later.acquire(timeout=10) for _ in range(2))
                raise RuntimeError("the weights are gone")
            if packet.frame.sequence > 5:
                later.release()
            return (packet,)

    graph, sink = chain(Broken, camera("cam", Frames(1000)), workers=3)
    report = Supervisor(graph).run()
    assert report.exit_code == 1
    assert report.balanced
    assert sink.seen["cam"] == list(range(5))


def test_a_stage_that_cannot_open_leaves_outputs_and_sources_alone() -> None:
    class NoModel(Pass):
        def open(self) -> None:
            raise StageError("street.onnx: no such file")

    source = Frames()
    graph, sink = chain(NoModel(), camera("cam", source))
    report = Supervisor(graph).run()
    assert report.exit_code == 1
    assert report.entered == 0
    assert sink.opened == 0
    assert source.closed


def test_one_camera_that_cannot_be_opened_does_not_stop_the_others() -> None:
    graph, sink = chain(Pass(), camera("good"), camera("bad", Frames(fail_open=True)))
    report = Supervisor(graph).run()
    assert sink.seen == {"good": list(range(20))}
    assert report.exit_code == 3
    assert [c.error for c in report.cameras] == ["", "no such file: x.mp4"]


def test_when_no_camera_can_be_opened_nothing_else_is_touched() -> None:
    graph, sink = chain(Pass(), camera("bad", Frames(fail_open=True)))
    report = Supervisor(graph).run()
    assert report.exit_code == 3
    assert sink.opened == 0


@pytest.mark.parametrize("live", [False, True])
def test_a_camera_that_fails_midway_ends_alone(live: bool) -> None:
    graph, sink = chain(Pass(), camera("a"), camera("b", Frames(fail_at=4, live=live)))
    report = Supervisor(graph).run()
    assert sink.seen == {"a": list(range(20)), "b": list(range(4))}
    assert report.balanced
    assert report.exit_code == 3


def test_a_fork_emits_each_frame_once_and_on_every_branch() -> None:
    left, right = Collect(), Collect()
    nodes = (node("work", Pass()), node("left", left, "work"), node("right", right, "work"))
    report = Supervisor(Graph((camera(),), nodes)).run()
    assert left.seen == right.seen == {"cam": list(range(20))}
    assert (report.entered, report.emitted) == (20, 20)


def test_branches_meet_again_and_what_one_dropped_is_counted() -> None:
    def drop_third(packet: Packet[Decoded]) -> None:
        if packet.frame.sequence % 3 == 0:
            raise PacketError("third")

    sink = Collect()
    nodes = (
        node("left", lambda: Pass(drop_third), workers=2),
        node("right", Pass()),
        node("both", Both, "left", "right", workers=2),
        node("out", sink, "both"),
    )
    report = Supervisor(Graph((camera("a"), camera("b")), nodes)).run()
    kept = [s for s in range(20) if s % 3]
    assert sink.seen == {"a": kept, "b": kept}
    for account in report.ledger.values():
        assert account.balanced
        assert sum(account.dropped.values()) == 7
    assert report.exit_code == 0


def test_a_batch_gives_what_one_by_one_gives() -> None:
    sizes: list[int] = []

    class InBatches(Pass):
        def process_batch(self, packets: Sequence[Packet[Decoded]]) -> list[list[Packet[Decoded]]]:
            sizes.append(len(packets))
            return [[packet] for packet in packets]

    graph, sink = chain(InBatches(), camera("a"), camera("b"), batch=Batch(4, 0.05))
    report = Supervisor(graph).run()
    assert sink.seen == {"a": list(range(20)), "b": list(range(20))}
    assert report.balanced
    assert max(sizes, default=0) in (2, 3, 4)


def test_a_live_camera_loses_frames_at_the_entrance_only() -> None:
    gate = threading.Event()

    def slow(packet: Packet[Decoded]) -> None:
        gate.wait(10)

    class Opener(Frames):
        """Lets the slow stage go once all frames are in."""

        def close(self) -> None:
            super().close()
            gate.set()

    source = Opener(50, live=True)
    graph, sink = chain(lambda: Pass(slow), camera("cam", source, on_full=OnFull.DROP_OLDEST))
    report = Supervisor(graph).run()
    account = report.ledger["cam"]
    assert account.balanced
    assert account.dropped == {("work", "queue_full"): 50 - len(sink.seen["cam"])}
    assert sink.seen["cam"][-4:] == [46, 47, 48, 49]  # what is fresh stays
    assert report.edges[0].dropped == 50 - len(sink.seen["cam"])


def test_frames_beyond_the_wanted_rate_are_dropped_at_the_entrance() -> None:
    graph, sink = chain(Pass(), camera("cam", Frames(20), every=2))
    report = Supervisor(graph).run()
    assert sink.seen["cam"] == list(range(10))
    assert report.ledger["cam"].dropped == {("decode", "sampled"): 10}


def test_a_file_in_real_time_waits_for_each_frame() -> None:
    clock = ManualClock()
    graph, sink = chain(Pass(), camera("cam", Frames(20), realtime=True))
    Supervisor(graph, clock).run()
    assert sink.seen["cam"] == list(range(20))
    assert clock.now_ns() == 19 * 40_000_000


def test_a_stopped_run_finishes_what_is_under_way() -> None:
    supervisor: Supervisor

    def stop_at_five(packet: Packet[Decoded]) -> None:
        if packet.frame.sequence == 5:
            supervisor.stop()

    graph, sink = chain(lambda: Pass(stop_at_five), camera("cam", Frames(10**9)))
    supervisor = Supervisor(graph)
    report = supervisor.run()
    assert report.exit_code == 0
    assert report.balanced
    assert report.dropped == 0
    assert sink.seen["cam"] == list(range(report.entered))


def test_a_run_that_cannot_drain_in_time_is_aborted_and_still_balances() -> None:
    stuck, release = threading.Event(), threading.Event()

    def hang(packet: Packet[Decoded]) -> None:
        stuck.set()
        release.wait(30)

    graph, sink = chain(lambda: Pass(hang), camera("cam", Frames(50)))
    graph = Graph(graph.cameras, graph.nodes, drain_s=0.0)
    supervisor = Supervisor(graph)
    supervisor.start()
    assert stuck.wait(10)
    supervisor.stop()
    report = supervisor.wait()
    release.set()
    assert report.aborted
    assert report.balanced
    assert report.exit_code == 1  # a worker had to be given up
    assert report.ledger["cam"].dropped[("work", "stuck")] == 1
    assert report.ledger["cam"].dropped[("work", "aborted")] >= 1
    assert sink.finished == 0


SIGNALLED = """
import sys, threading
sys.path.insert(0, {tests!r})
from test_supervisor import Frames, Pass, camera, chain
from pipeline.supervisor import Supervisor

def work(packet):
    if packet.frame.sequence == 0:
        print("ready", flush=True)
    threading.Event().wait({pause})

graph, sink = chain(lambda: Pass(work), camera("cam", Frames(10**9)))
report = Supervisor(graph).run()
print(report.balanced, report.aborted, report.dropped == 0, report.exit_code)
sys.exit(report.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("pause", "times", "outcome"),
    [(0.001, 1, "True False True 0"), (0.4, 2, "True True False 130")],
)
def test_one_signal_drains_and_a_second_aborts(
    number: signal.Signals, pause: float, times: int, outcome: str
) -> None:
    code = textwrap.dedent(SIGNALLED.format(tests=str(Path(__file__).parent), pause=pause))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for _ in range(times):
        process.send_signal(number)
        try:
            process.wait(0.25)
        except subprocess.TimeoutExpired:
            continue
    assert process.communicate(timeout=20)[0].strip() == outcome


def test_a_graph_without_output_is_not_run() -> None:
    with pytest.raises(GraphError, match="add an output"):
        Supervisor(Graph((camera(),), (node("work", Pass()),)))


def test_a_report_can_be_taken_while_the_graph_runs() -> None:
    seen: list[bool] = []
    gate = threading.Event()

    def observe(report: Any) -> None:
        seen.append(report.finished)
        gate.set()

    graph, _ = chain(Pass(), camera("cam", Frames(3, gate=gate)))
    report = Supervisor(graph).run(observe, interval_s=0.0)
    assert seen
    assert not any(seen)
    assert report.finished
    assert report.to_json()["ledger"]["cam"]["entered"] == 3
    assert report.to_json()["boundaries"] == []  # no stage has an engine
