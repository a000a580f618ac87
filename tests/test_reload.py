"""A running graph becomes another one: what stays loses nothing, and a failure changes nothing."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline.errors import OutputError, ReloadError, SightlineError, StageError
from pipeline.feedback import Feedback
from pipeline.graph import Camera, Graph, Node
from pipeline.media.source import Source, SourceFrame, SourceInfo, SourceState
from pipeline.packet import FrameInfo, Packet
from pipeline.payloads import Decoded
from pipeline.report import RunReport
from pipeline.stage import Run, Sink, Stage
from pipeline.supervisor import Supervisor
from tests.test_supervisor import Both, Frames, Pass

WAIT_S = 10.0


class Endless(Frames):
    """Frames without end, a thousand a second."""

    def __init__(self, *, live: bool = True) -> None:
        super().__init__(10**9, live=live)

    def frames(self) -> Iterator[SourceFrame]:
        for frame in super().frames():
            self._interrupted.wait(0.001)
            yield frame


class Deaf(Endless):
    """Gives nothing, and does not hear that it is interrupted."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()

    def frames(self) -> Iterator[SourceFrame]:
        self.release.wait(WAIT_S)
        yield from ()


class Watched(Pass):
    """Keeps what it is told and asked."""

    per_camera = True

    def __init__(self, tag: str = "") -> None:
        super().__init__()
        self.tag = tag
        self.met: dict[str, list[int]] = {}
        self.forgotten: list[str] = []
        self.succeeded: list[Stage[Any, Any]] = []
        self.closed = 0

    def process(self, packet: Packet[Decoded]) -> Iterable[Packet[Decoded]]:
        self.met.setdefault(packet.frame.camera, []).append(packet.frame.sequence)
        return (packet,)

    def succeed(self, before: Stage[Any, Any]) -> None:
        assert isinstance(before, Watched)
        assert before.closed
        self.succeeded.append(before)

    def forget(self, camera: str) -> None:
        self.forgotten.append(camera)

    def close(self) -> None:
        self.closed += 1


class Sightings(Sink[Decoded]):
    """Keeps the frames that come, by camera, and what it is told of cameras."""

    consumes = Decoded

    def __init__(self) -> None:
        self.seen: dict[str, list[FrameInfo]] = {}
        self.told: list[tuple[str, str]] = []
        self.finished = self.closed = 0

    def write(self, packet: Packet[Decoded]) -> None:
        self.seen.setdefault(packet.frame.camera, []).append(packet.frame)

    def expect(self, camera: str) -> None:
        self.told.append(("expect", camera))

    def forget(self, camera: str) -> None:
        self.told.append(("forget", camera))

    def flush(self) -> Iterable[Packet[Any]]:
        self.finished += 1
        return ()

    def close(self) -> None:
        self.closed += 1

    def count(self, camera: str) -> int:
        return len(self.seen.get(camera, ()))


def camera(name: str, make: Callable[[], Source] = Endless, signature: object = 1) -> Camera:
    source = make()
    return Camera(name, f"test:{name}", lambda: source, source.live, signature=signature)


def node(name: str, make: Callable[[], Stage[Any, Any]], *after: str, **settings: Any) -> Node:
    settings.setdefault("signature", name)
    return Node(name, type(make()), lambda run: make(), after or ("decode",), **settings)


def chain(*cameras: Camera, work: Node, sink: Sightings, drain_s: float = 5.0) -> Graph:
    return Graph(cameras, (work, node("out", lambda: sink, work.name)), drain_s=drain_s)


def until(true: Callable[[], bool]) -> None:
    """Waits for something that other threads bring about."""
    deadline_s = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline_s, "it never came"
        time.sleep(0.002)


@contextmanager
def running(graph: Graph) -> Iterator[Supervisor]:
    """A run under way, ended in order; its ledger balances and nothing is dropped."""
    supervisor = Supervisor(graph)
    assert supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()
        report = supervisor.wait()
    assert report.balanced
    assert not any(failure.fatal for failure in report.failures), report.failures


def gapless(frames: list[FrameInfo]) -> bool:
    """Whether every frame from the first on is there, in order."""
    return [frame.sequence for frame in frames] == list(range(len(frames)))


def test_what_stays_goes_on_while_cameras_come_and_go() -> None:
    stages: list[Watched] = []

    def make() -> Watched:
        stages.append(Watched())
        return stages[-1]

    sink = Sightings()
    work = node("work", make)
    stages.clear()
    a, b, c = (camera(name) for name in "abc")
    with running(chain(a, b, work=work, sink=sink)) as supervisor:
        until(lambda: sink.count("a") > 20 and sink.count("b") > 20)
        supervisor.replace(chain(a, c, work=work, sink=sink))
        until(lambda: sink.count("c") > 20)
        seen = sink.count("a")
        until(lambda: sink.count("a") > seen + 20)
        report = supervisor.report()
        assert [line.id for line in report.cameras] == ["a", "c"]
    assert len(stages) == 1, "the stage is the same copy"
    assert stages[0].forgotten == ["b"]
    assert sink.told == [("expect", "c"), ("forget", "b")]
    assert all(gapless(frames) for frames in sink.seen.values())
    assert stages[0].met["a"] == [frame.sequence for frame in sink.seen["a"]]
    assert (sink.finished, sink.closed) == (1, 1)


def test_a_stage_that_changed_goes_on_where_the_old_one_ended() -> None:
    old, new, sink = Watched("old"), Watched("new"), Sightings()
    graph = chain(camera("a"), work=node("work", lambda: old), sink=sink)
    with running(graph) as supervisor:
        until(lambda: sink.count("a") > 20)
        before = supervisor.report()
        changed = node("work", lambda: new, signature="other")
        supervisor.replace(chain(graph.cameras[0], work=changed, sink=sink))
        until(lambda: bool(new.met.get("a")))
        after = supervisor.report()
    assert old.closed == 1
    assert new.succeeded == [old]
    assert gapless(sink.seen["a"])
    assert old.met["a"] + new.met["a"] == list(range(sink.count("a")))
    for then, now in zip(before.stages, after.stages, strict=True):
        assert now.processed >= then.processed, "counts do not jump back"
    for was, is_ in zip(before.edges, after.edges, strict=True):
        assert is_.put >= was.put


def test_twenty_changes_under_load_lose_nothing() -> None:
    sink = Sightings()
    a, b = camera("a", lambda: Endless(live=False)), camera("b")
    third: list[Camera] = []
    with running(chain(a, b, work=node("work", Watched), sink=sink)) as supervisor:
        for turn in range(20):
            kept = node("work", Watched, signature=turn // 4, workers=2)
            third = [] if turn % 3 == 0 else [camera("c", signature=turn // 2)]
            supervisor.replace(chain(a, b, *third, work=kept, sink=sink))
        until(lambda: sink.count("a") > 100 and sink.count("b") > 100)
        report = supervisor.report()
    assert all(gapless(frames) for frames in sink.seen.values())
    assert set(report.ledger["a"].dropped) | set(report.ledger["b"].dropped) == set()


def test_a_camera_that_changed_goes_on_in_a_new_epoch() -> None:
    sink = Sightings()
    first, second = camera("a"), camera("a", signature=2)
    with running(chain(first, work=node("work", Watched), sink=sink)) as supervisor:
        until(lambda: sink.count("a") > 20)
        supervisor.replace(chain(second, work=node("work", Watched), sink=sink))
        until(lambda: sink.seen["a"][-1].epoch == 1)
    frames = sink.seen["a"]
    assert gapless(frames)
    assert [f.pts_ns for f in frames] == sorted({f.pts_ns for f in frames})
    assert [f.index for f in frames] == sorted({f.index for f in frames})
    assert sink.told == [], "it is the same camera to everybody behind"


def test_a_camera_that_comes_back_counts_on() -> None:
    sink = Sightings()
    a, b = camera("a"), camera("b")
    work = node("work", Watched)
    with running(chain(a, b, work=work, sink=sink)) as supervisor:
        until(lambda: sink.count("b") > 5)
        supervisor.replace(chain(a, work=work, sink=sink))
        supervisor.replace(chain(a, camera("b"), work=work, sink=sink))
        until(lambda: sink.seen["b"][-1].epoch == 1)
    assert gapless(sink.seen["b"])
    assert sink.told == [("forget", "b"), ("expect", "b")]


def test_a_camera_is_forgotten_before_it_may_come_back() -> None:
    class Slow(Sightings):
        def forget(self, camera: str) -> None:
            time.sleep(0.05)
            super().forget(camera)

    sink, work = Slow(), node("work", Watched)
    a, b = camera("a"), camera("b")
    with running(chain(a, b, work=work, sink=sink)) as supervisor:
        for _ in range(3):
            supervisor.replace(chain(a, work=work, sink=sink))
            supervisor.replace(chain(a, camera("b"), work=work, sink=sink))
    assert sink.told == [("forget", "b"), ("expect", "b")] * 3


def test_a_camera_that_does_not_hear_delays_nobody() -> None:
    sink = Sightings()
    deaf = Deaf()
    a, gone = camera("a"), camera("gone", lambda: deaf)
    work = node("work", Watched)
    with running(chain(a, gone, work=work, sink=sink)) as supervisor:
        until(lambda: sink.count("a") > 5)
        supervisor.replace(chain(a, work=work, sink=sink))
        seen = sink.count("a")
        until(lambda: sink.count("a") > seen + 20)
        deaf.release.set()
    assert gapless(sink.seen["a"])


def test_a_camera_has_one_connection_at_a_time() -> None:
    opened: list[bool] = []
    old = Deaf()

    class Next(Endless):
        def open(self) -> SourceInfo:
            opened.append(old.closed > 0)
            return super().open()

    sink, work = Sightings(), node("work", Watched)
    with running(chain(camera("a"), camera("b", lambda: old), work=work, sink=sink)) as supervisor:
        cameras = supervisor.graph.cameras[0], camera("b", Next, signature=2)
        supervisor.replace(chain(*cameras, work=work, sink=sink))
        seen = sink.count("a")
        until(lambda: sink.count("a") > seen + 20)
        assert opened == []
        old.release.set()
        until(lambda: sink.count("b") > 5)
    assert opened == [True]


class NoModel(Watched):
    def open(self) -> None:
        raise StageError("street.onnx: no such file")


class FullDisk(Sightings):
    def expect(self, camera: str) -> None:
        super().expect(camera)
        raise OutputError("the disk is full")


@pytest.mark.parametrize(
    ("what", "error"),
    [("stage", "no such file"), ("file", "no such file: x.mp4"), ("output", "disk is full")],
)
def test_what_does_not_open_changes_nothing(what: str, error: str) -> None:
    old, sink = Watched(), FullDisk() if what == "output" else Sightings()
    a = camera("a")
    graph = chain(a, work=node("work", lambda: old), sink=sink)
    work, cameras, spare = graph.nodes[0], [a], Endless()
    if what == "stage":
        work = node("work", NoModel, signature="other")
        cameras.append(camera("b", lambda: spare))
    elif what == "file":
        cameras.append(camera("b", lambda: Frames(fail_open=True)))
    else:
        cameras.append(camera("b", lambda: spare))
    with running(graph) as supervisor:
        until(lambda: sink.count("a") > 5)
        with pytest.raises(SightlineError, match=error):
            supervisor.replace(chain(*cameras, work=work, sink=sink))
        assert supervisor.graph is graph
        seen = sink.count("a")
        until(lambda: sink.count("a") > seen + 20)
        report = supervisor.report()
        assert report.failures == ()
        assert [line.id for line in report.cameras] == ["a"]
    assert gapless(sink.seen["a"])
    assert (sink.finished, sink.closed) == (1, 1)
    assert old.closed == 1
    if what == "output":
        assert sink.told == [("expect", "b"), ("forget", "b")]


class Unopened(Sightings):
    def open(self) -> None:
        raise OutputError("a folder is there")


def test_what_was_opened_in_vain_is_closed_and_not_finished() -> None:
    vain, sink = Sightings(), Sightings()
    graph = chain(camera("a"), work=node("work", Watched), sink=sink)
    more = graph.with_node(node("more", lambda: vain, "work"))
    wrong = more.with_node(node("wrong", Unopened, "work"))
    with running(graph) as supervisor:
        with pytest.raises(OutputError):
            supervisor.replace(wrong)
        assert vain.closed == 1
    assert vain.finished == 0


def test_a_graph_in_which_a_stage_hangs_is_not_exchanged() -> None:
    stuck, release = threading.Event(), threading.Event()

    def hang(packet: Packet[Decoded]) -> None:
        stuck.set()
        release.wait(WAIT_S)

    sink = Sightings()
    a = camera("a", lambda: Endless(live=False))
    work = node("work", lambda: Pass(hang))
    with running(chain(a, work=work, sink=sink, drain_s=0.3)) as supervisor:
        assert stuck.wait(WAIT_S)
        until(lambda: supervisor.report().entered == 6)  # one in hand, four wait, one does not fit
        with pytest.raises(ReloadError, match="a stage hangs"):
            supervisor.replace(chain(a, camera("b"), work=work, sink=sink, drain_s=0.3))
        release.set()
        until(lambda: sink.count("a") > 20)
    assert gapless(sink.seen["a"])
    assert "b" not in sink.seen


def test_a_run_that_is_over_is_not_exchanged() -> None:
    sink = Sightings()
    graph = chain(camera("a", lambda: Frames(3)), work=node("work", Watched), sink=sink)
    supervisor = Supervisor(graph)
    supervisor.run()
    with pytest.raises(ReloadError, match="has ended"):
        supervisor.replace(chain(camera("b"), work=node("work", Watched), sink=sink))
    assert supervisor.report().balanced


def test_a_stage_with_state_keeps_its_cameras_when_workers_are_added() -> None:
    homes: dict[str, set[int]] = {}

    class Stateful(Watched):
        def process(self, packet: Packet[Decoded]) -> Iterable[Packet[Decoded]]:
            homes.setdefault(packet.frame.camera, set()).add(id(self))
            return (packet,)

    sink = Sightings()
    cameras = [camera(name) for name in "abcd"]
    graph = chain(*cameras[:2], work=node("work", Stateful), sink=sink)
    with running(graph) as supervisor:
        until(lambda: sink.count("a") > 5 and sink.count("b") > 5)
        supervisor.replace(chain(*cameras, work=node("work", Stateful, workers=3), sink=sink))
        until(lambda: all(sink.count(name) > 20 for name in "abcd"))
    assert all(len(copies) == 1 for copies in homes.values())
    assert len(set.union(*homes.values())) == 3
    assert all(gapless(frames) for frames in sink.seen.values())


def test_branches_meet_again_across_a_change() -> None:
    sink = Sightings()
    a, b = camera("a"), camera("b")
    nodes = (
        node("left", Pass, workers=2),
        node("right", Pass),
        node("both", Both, "left", "right"),
        node("out", lambda: sink, "both"),
    )
    with running(Graph((a,), nodes)) as supervisor:
        until(lambda: sink.count("a") > 20)
        changed = (node("left", Pass, signature="other"), *nodes[1:])
        supervisor.replace(Graph((a, b), changed))
        until(lambda: sink.count("b") > 20)
        report = supervisor.report()
    assert gapless(sink.seen["a"])
    assert report.dropped == 0


class Takes(Pass):
    """The first of a way back: waits for what the second gave of the camera's last frame."""

    recurrent = True

    def __init__(self, feedback: Feedback[int]) -> None:
        super().__init__()
        self._feedback = feedback
        self._next: dict[str, int] = {}

    def process(self, packet: Packet[Decoded]) -> Iterable[Packet[Decoded]]:
        frame = packet.frame
        if frame.camera in self._next:
            assert self._feedback.take(frame.camera) == self._next[frame.camera] - 1
        self._next[frame.camera] = frame.sequence + 1
        return (packet,)


class Gives(Pass):
    def __init__(self, feedback: Feedback[int]) -> None:
        super().__init__()
        self._feedback = feedback

    def process(self, packet: Packet[Decoded]) -> Iterable[Packet[Decoded]]:
        self._feedback.give(packet.frame.camera, packet.frame.sequence)
        return (packet,)

    def close(self) -> None:
        self._feedback.close()


@pytest.mark.parametrize("stays", [True, False])
def test_a_way_back_goes_on_or_begins_anew(stays: bool) -> None:
    def loop(signature: int) -> tuple[Node, ...]:
        def takes(run: Run) -> Stage[Any, Any]:
            return Takes(run.feedback("takes"))

        def gives(run: Run) -> Stage[Any, Any]:
            return Gives(run.feedback("takes"))

        return (
            Node("takes", Takes, takes, ("decode",), signature=signature),
            Node("gives", Gives, gives, ("takes",), returns_to="takes", signature=signature),
            node("out", lambda: sink, "gives"),
        )

    sink = Sightings()
    a, b = camera("a"), camera("b")
    with running(Graph((a,), loop(1))) as supervisor:
        until(lambda: sink.count("a") > 20)
        supervisor.replace(Graph((a, b), loop(1 if stays else 2)))
        until(lambda: sink.count("b") > 20)
    assert gapless(sink.seen["a"])


def anything(chance: random.Random, sink: Sightings, cameras: Mapping[str, Camera]) -> Graph:
    """Some graph with some cameras; ``a`` is always there, and so is the output."""

    def same_or_other(name: str, make: Callable[[], Stage[Any, Any]], *after: str) -> Node:
        workers = chance.choice([1, 2, 3])
        return node(name, make, *after, signature=chance.randrange(2), workers=workers)

    fork = chance.random() < 0.5
    first = same_or_other("first", Pass)
    if fork:
        nodes = [
            first,
            same_or_other("left", Pass, "first"),
            same_or_other("right", Pass, "first"),
            same_or_other("both", Both, "left", "right"),
        ]
    else:
        nodes = [first, same_or_other("both", Pass, "first")]
    nodes.append(same_or_other("work", Watched, "both"))
    nodes.append(node("out", lambda: sink, "work"))
    if chance.random() < 0.3:
        nodes.append(node("more", Sightings, chance.choice(["first", "both", "work"])))
    here = [cameras["a"]]
    for name in "bcd":
        if chance.random() < 0.5:
            fresh = chance.random() < 0.3
            here.append(camera(name, signature=chance.random()) if fresh else cameras[name])
    return Graph(tuple(here), tuple(nodes))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_follows_whatever_nothing_is_lost(seed: int) -> None:
    chance, sink = random.Random(seed), Sightings()
    with running(anything(chance, sink, _four())) as supervisor:
        cameras = dict.fromkeys("a", supervisor.graph.cameras[0])
        for _ in range(25):
            cameras |= {name: one for name, one in _four().items() if name != "a"}
            cameras |= {one.id: one for one in supervisor.graph.cameras}
            supervisor.replace(anything(chance, sink, cameras))
        seen = sink.count("a")
        until(lambda: sink.count("a") > seen + 20)
        report = supervisor.report()
    assert all(gapless(frames) for frames in sink.seen.values())
    reasons = {drop for account in report.ledger.values() for drop in account.dropped}
    assert reasons <= {("decode", "removed")}
    assert report.ledger["a"].dropped == {}


def _four() -> dict[str, Camera]:
    return {name: camera(name) for name in "abcd"}


def test_conditions_are_told_of_every_camera() -> None:
    sink, work = Sightings(), node("work", Watched)
    with running(
        chain(camera("a"), camera("b", lambda: Frames(3)), work=work, sink=sink)
    ) as supervisor:

        def states() -> list[SourceState]:
            return [line.condition.state for line in supervisor.report().cameras]

        until(lambda: states()[1] is SourceState.ENDED)
        assert states()[0] is not SourceState.ENDED


def test_reports_while_graphs_change_are_whole() -> None:
    reports: list[RunReport] = []
    sink = Sightings()
    a = camera("a")
    with running(chain(a, work=node("work", Watched), sink=sink)) as supervisor:
        done = threading.Event()

        def observe() -> None:
            while not done.is_set():
                reports.append(supervisor.report())

        observer = threading.Thread(target=observe)
        observer.start()
        for turn in range(10):
            supervisor.replace(chain(a, work=node("work", Watched, signature=turn), sink=sink))
        done.set()
        observer.join()
    for name in ("decode", "work", "out"):
        counts = [
            next(stage.processed for stage in report.stages if stage.name == name)
            for report in reports
        ]
        assert counts == sorted(counts), name
