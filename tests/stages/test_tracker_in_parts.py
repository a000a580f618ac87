"""The tracker as three stages: the tracks of the one stage, and no frame waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
import pipeline
from engines.errors import EngineError
from engines.failover import Candidate
from pipeline.clock import ManualClock
from pipeline.detection.detections import Detections
from pipeline.errors import ConfigError, GraphError, PacketError
from pipeline.feedback import Feedback
from pipeline.graph import Graph, Node
from pipeline.kernels.kalman_predict import kalman_predict
from pipeline.ledger import Ticket
from pipeline.network import BoundNetwork
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.payloads import Decoded, Detected, Matched, Predicted, Tracked, TrackerState
from pipeline.queues import OnFull
from pipeline.report import RunReport
from pipeline.running import stream
from pipeline.serial import run_serially
from pipeline.stage import Run, Sink, Stage
from pipeline.stages.kalman import KalmanStage
from pipeline.stages.matching import MatchingStage
from pipeline.stages.screening import ScreeningStage
from pipeline.stages.track import TrackStage
from pipeline.supervisor import Supervisor
from pipeline.tracking.camera_motion import CameraMotion
from pipeline.tracking.cost import Similarity
from pipeline.tracking.forms import FORMS
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.steps import Step
from pipeline.tracking.track import Tracks
from pipeline.tracking.warm_restart import Keeping
from tests.test_supervisor import PICTURE, Frames, camera, node

FRAMES = 40
SPEC = TrackSpec(extrapolate_score=0.5)
PARTS = ("kalman", "matching", "screening")
COLUMNS = [field.name for field in fields(Tracks) if field.name != "attributes"]

Given = dict[tuple[str, int], tuple[bytes, ...]]
Act = Callable[[Packet[Any]], None]


class See(Stage[Decoded, Detected]):
    """People who walk about, the same for a frame every time; some frames show nothing."""

    consumes = Decoded
    produces = Detected

    def process(self, packet: Packet[Decoded]) -> Iterable[Packet[Detected]]:
        frame, picture = packet.frame, packet.payload.picture
        seed = sum(frame.camera.encode())
        start = np.random.default_rng(seed).uniform(0, 400, (12, 2))
        way = np.random.default_rng(seed + 1).normal(0, 60, (12, 2))
        noise = np.random.default_rng([seed, frame.sequence])
        corner = start + way * frame.pts_ns / 1e9 + noise.normal(0, 1, (12, 2))
        kept = noise.random(12) < 0.85
        boxes = np.hstack((corner, corner + np.array((30, 70))))[kept].astype(np.float32)
        scores = noise.uniform(0.4, 1, kept.sum()).astype(np.float32)
        seen = Detections(boxes, scores, np.zeros(len(boxes), np.int32))
        looks = noise.normal(0, 0.2, (12, 8)) + np.eye(12, 8)
        looks /= np.linalg.norm(looks, axis=1, keepdims=True)
        motion = None
        if frame.sequence % 3 == 1:
            motion = CameraMotion(np.eye(2, 3), frame.pts_ns - 40_000_000)
        detected = Detected(picture, seen, looks[kept].astype(np.float32), motion)
        out: Packet[Detected] = packet.carrying(detected)
        if frame.sequence % 10 == 7:
            nothing = replace(detected, detections=Detections.empty(), embeddings=None)
            out = packet.carrying(nothing).marked(Status.BLIND, "tested")
        return (out,)


class Keep(Sink[Tracked]):
    """What went out, by camera and frame."""

    consumes = Tracked

    def __init__(self, act: Act = lambda packet: None) -> None:
        self.given: Given = {}
        self.statuses: dict[tuple[str, int], Status] = {}
        self._act = act

    def write(self, packet: Packet[Tracked]) -> None:
        self._act(packet)
        key = packet.frame.camera, packet.frame.sequence
        self.given[key] = columns(packet)
        self.statuses[key] = packet.status


def columns(packet: Packet[Tracked]) -> tuple[bytes, ...]:
    return tuple(getattr(packet.payload.tracks, name).tobytes() for name in COLUMNS)


def acting(stage: Stage[Any, Any], act: Act | None) -> Stage[Any, Any]:
    """The stage, but `act` may stop a packet within it, where the stage itself would."""
    if act is None:
        return stage
    inner = stage.process

    def process(packet: Packet[Any]) -> Iterable[Packet[Any]]:
        state = getattr(packet.payload, "state", None)
        if state is None:
            act(packet)
        else:
            with stage._feedback.kept(packet.frame.camera, state):  # type: ignore[attr-defined]
                act(packet)
        return inner(packet)

    stage.process = process  # type: ignore[method-assign]
    return stage


def in_parts(
    *cameras: str,
    spec: TrackSpec = SPEC,
    workers: Sequence[int] = (1, 1, 1),
    acts: Mapping[str, Act] | None = None,
    similarity: Similarity | None = None,
    kalman_on: BoundNetwork | None = None,
    keeping: Keeping | None = None,
    frames: int = FRAMES,
    on_full: Mapping[str, OnFull] | None = None,
) -> tuple[Graph, Keep]:
    """Cameras → see → kalman → matching → screening → out."""
    acts, on_full = acts or {}, on_full or {}

    def kalman(run: Run) -> Stage[Any, Any]:
        stage = KalmanStage(spec, run.feedback("kalman"), kalman_on, keeping, ManualClock())
        return acting(stage, acts.get("kalman"))

    def matching(run: Run) -> Stage[Any, Any]:
        stage = MatchingStage(spec, run.feedback("kalman"))
        if similarity:
            stage._tracker._similarity = similarity
        return acting(stage, acts.get("matching"))

    def screening(run: Run) -> Stage[Any, Any]:
        return acting(ScreeningStage(spec, run.feedback("kalman")), acts.get("screening"))

    sink = Keep(acts.get("out", lambda packet: None))
    parts = [
        Node(
            name, kind, make, (before,), workers=count, returns_to=back,
            on_full=on_full.get(name, OnFull.BLOCK),
        )
        for name, kind, make, before, count, back in (
            ("kalman", KalmanStage, kalman, "see", workers[0], ""),
            ("matching", MatchingStage, matching, "kalman", workers[1], ""),
            ("screening", ScreeningStage, screening, "matching", workers[2], "kalman"),
        )
    ]  # fmt: skip
    nodes = (node("see", See()), *parts, node("out", sink, "screening"))
    return Graph(_cameras(cameras, frames), nodes, drain_s=10.0), sink


def whole(*cameras: str, spec: TrackSpec = SPEC, similarity: Similarity | None = None) -> Keep:
    """What one `track` stage gives."""

    def track() -> TrackStage:
        stage = TrackStage(spec)
        stage._similarity = similarity
        return stage

    sink = Keep()
    nodes = (node("see", See()), node("track", track, "see"), node("out", sink, "track"))
    finish(Graph(_cameras(cameras, FRAMES), nodes))
    return sink


def _cameras(names: Sequence[str], frames: int) -> tuple[Any, ...]:
    return tuple(camera(name, Frames(frames)) for name in names or ("a",))


def finish(graph: Graph) -> RunReport:
    """Runs to the end; one that hangs is aborted, and found out."""
    supervisor = Supervisor(graph)
    hangs = threading.Timer(20, supervisor.abort)
    hangs.start()
    try:
        report = supervisor.run()
    finally:
        hangs.cancel()
    assert not report.aborted
    assert report.balanced
    return report


@pytest.mark.parametrize(
    ("cameras", "workers", "preset"),
    [
        ("a", (1, 1, 1), "sightline"),
        ("abc", (1, 1, 1), "ocsort"),
        ("abc", (2, 3, 2), "deepsort"),
        ("abc", (3, 1, 2), "sightline"),
    ],
)
def test_the_tracks_are_those_of_the_one_stage(
    cameras: str, workers: tuple[int, int, int], preset: str
) -> None:
    spec = TrackSpec(preset=preset)
    graph, sink = in_parts(*cameras, spec=spec, workers=workers)
    report = finish(graph)
    expected = whole(*cameras, spec=spec)
    assert len(sink.given) == FRAMES * len(cameras)
    assert sink.given == expected.given
    assert sink.statuses == expected.statuses
    assert report.dropped == 0


def test_one_after_another_as_well() -> None:
    graph, _ = in_parts("a", "b")
    given: Given = {}
    with run_serially(graph.without_sinks()) as run:
        for step in run:
            (packet,) = step["screening"]
            given[packet.frame.camera, packet.frame.sequence] = columns(packet)
    assert given == whole("a", "b").given


def drops(name: str) -> Act:
    def act(packet: Packet[Any]) -> None:
        if packet.frame.sequence % 7 == 2:
            raise PacketError("tested")

    return act


@pytest.mark.parametrize("part", PARTS)
def test_a_dropped_frame_costs_that_frame_only(part: str) -> None:
    graph, sink = in_parts("a", "b", acts={part: drops(part)})
    report = finish(graph)
    left = [k for k in range(FRAMES) if k % 7 != 2]
    assert sorted(sink.given) == [(name, k) for name in "ab" for k in left]
    assert report.ledger["a"].dropped == {(part, "tested"): FRAMES - len(left)}
    last = sink.given["a", FRAMES - 1]
    ids, ages = np.frombuffer(last[0], np.int64), np.frombuffer(last[6], np.float32)
    assert len(ids) > 6
    assert ages.max() > 1.5  # the tracks of the first second went on
    expected = whole("a").given["a", FRAMES - 1]
    assert abs(len(ids) - len(np.frombuffer(expected[0], np.int64))) < 4


def test_a_frame_out_of_time_leaves_the_tracks_as_they_were() -> None:
    feedback: Feedback[TrackerState] = Feedback()
    feedback.close()
    stage, see = KalmanStage(SPEC, feedback), See()

    def predicted(pts_ns: int) -> Predicted:
        frame = FrameInfo("a", 0, 0, pts_ns, 6, 4)
        (seen,) = see.process(Packet(frame, Decoded(PICTURE), Ticket("a")))
        (packet,) = stage.process(seen)
        return packet.payload

    feedback.give("a", predicted(1000).state)
    with pytest.raises(PacketError, match="time_went_back"):
        predicted(1000)
    assert predicted(2000).step == Step(1e-6, camera_is_known=False)


@pytest.mark.parametrize("workers", [(1, 1, 1), (2, 2, 2)])
@pytest.mark.parametrize("part", [*PARTS, "out"])
def test_a_failing_part_ends_the_run(part: str, workers: tuple[int, int, int]) -> None:
    def fail(packet: Packet[Any]) -> None:
        if packet.frame.sequence == 5:
            raise RuntimeError("out of order")

    graph, sink = in_parts("a", "b", workers=workers, acts={part: fail}, frames=10_000)
    report = finish(graph)
    assert report.exit_code == 1
    assert [failure.where for failure in report.failures] == [part] * len(report.failures)
    assert "out of order" in str(report.failures[0].error)
    assert len(sink.given) < 100


def test_a_stopped_run_finishes_what_is_under_way() -> None:
    supervisor: Supervisor

    def stop(packet: Packet[Any]) -> None:
        if packet.frame.sequence == 20:
            supervisor.stop()

    graph, sink = in_parts("a", "b", acts={"matching": stop}, frames=10**6)
    supervisor = Supervisor(graph)
    report = supervisor.run()
    assert (report.exit_code, report.dropped, report.aborted) == (0, 0, False)
    assert len(sink.given) == report.entered


@pytest.mark.parametrize("part", PARTS)
def test_an_aborted_run_ends_though_a_part_hangs(part: str) -> None:
    hangs, release = threading.Event(), threading.Event()

    def hang(packet: Packet[Any]) -> None:
        if packet.frame.sequence == 5:
            hangs.set()
            release.wait(30)

    graph, _ = in_parts("a", acts={part: hang}, frames=10**6)
    supervisor = Supervisor(graph)
    supervisor.start()
    assert hangs.wait(10)
    supervisor.abort()
    threading.Timer(0.5, release.set).start()
    report = supervisor.wait()
    assert report.aborted
    assert report.balanced
    assert not report.failures  # nobody had to be given up


def test_a_reader_may_leave_early() -> None:
    graph, _ = in_parts("a", "b", frames=10**6)
    packets = stream(graph.without_sinks())
    for _ in range(10):
        next(packets)
    packets.close()


class FromMemory(BoundNetwork):
    """The kernel on the host; does not work the `fails`-th time."""

    def __init__(self, fails: int = -1) -> None:
        host = partial(engines.create, "host0", "host")
        super().__init__([Candidate("host0", host, kalman_predict(FORMS[SPEC.motion_model]))])
        self._runs, self._fails = 0, fails

    def run(self, inputs: Any) -> Any:
        self._runs += 1
        if self._runs == self._fails:
            raise EngineError("the chip is gone")
        return super().run(inputs)


def test_the_filter_may_predict_on_an_engine() -> None:
    graph, sink = in_parts("a", kalman_on=FromMemory())
    finish(graph)
    expected = whole("a")
    for frame, (ids, boxes, *_) in expected.given.items():
        assert sink.given[frame][0] == ids
        one, other = (np.frombuffer(b, np.float32) for b in (boxes, sink.given[frame][1]))
        np.testing.assert_allclose(other, one, atol=1e-3)
    assert sink.given != expected.given  # in float32


def test_where_that_engine_fails_the_frame_is_blind() -> None:
    graph, sink = in_parts("a", kalman_on=FromMemory(fails=12))
    finish(graph)
    blind = [k for (_, k), status in sink.statuses.items() if status is Status.BLIND]
    assert blind == sorted({*range(7, FRAMES, 10), 12})
    ids = [np.frombuffer(sink.given["a", k][0], np.int64) for k in (11, 12, 13)]
    assert set(ids[1]) <= set(ids[0])
    assert len(set(ids[0]) & set(ids[2])) > 6


def failing(at: int) -> Similarity:
    """Compares as ever, but not the `at`-th time."""
    calls = iter(range(10**6))
    plain = Similarity()

    def overlaps(a: Any, b: Any) -> Any:
        if next(calls) == at:
            raise EngineError("the chip is gone")
        return plain.overlaps(a, b)

    return Similarity(overlaps, plain.cosines)


def test_a_failing_engine_leaves_the_frame_blind() -> None:
    graph, sink = in_parts("a", similarity=failing(12))
    finish(graph)
    expected = whole("a", similarity=failing(12))
    assert sink.given == expected.given
    assert sink.statuses == expected.statuses
    assert list(sink.statuses.values()).count(Status.BLIND) == FRAMES // 10 + 1


def test_nobody_changes_what_was_handed_on() -> None:
    seen: list[tuple[Any, dict[str, Any]]] = []

    def note(packet: Packet[Any]) -> None:
        state = packet.payload.state
        if state is not None:
            seen.append((state, {name: array.copy() for name, array in state.items()}))

    spec = TrackSpec(preset="deepsort")
    finish(in_parts("a", spec=spec, acts={"matching": note, "screening": note, "out": note})[0])
    assert len(seen) == 3 * FRAMES
    for state, before in seen:
        for name, array in before.items():
            np.testing.assert_array_equal(state[name], array, err_msg=name)


def test_tracks_survive_a_restart(tmp_path: Path) -> None:
    keeping = Keeping(tmp_path, every_s=0.5, within_s=60, made_by="this test")
    graph, first = in_parts("a", "b", keeping=keeping)
    report = finish(graph)
    assert next(stage for stage in report.stages if stage.name == "kalman").counts == {"resumed": 0}
    graph, _ = in_parts("a", "b", keeping=keeping)
    report = finish(graph)
    resumed = next(stage for stage in report.stages if stage.name == "kalman").counts["resumed"]
    last = [first.given[name, FRAMES - 1] for name in "ab"]
    assert resumed >= sum(len(np.frombuffer(given[0], np.int64)) for given in last)


@pytest.mark.parametrize("part", ["matching", "screening"])
def test_a_queue_in_between_may_not_drop(part: str) -> None:
    with pytest.raises(GraphError, match=f"stage '{part}' may not drop packets, for 'kalman'"):
        in_parts("a", on_full={part: OnFull.DROP_OLDEST})
    graph, sink = in_parts("a", on_full={"kalman": OnFull.DROP_NEWEST})
    report = finish(graph)
    assert len(sink.given) + report.dropped == FRAMES


def test_what_is_waited_for_must_come() -> None:
    graph, _ = in_parts("a")
    alone = [n for n in graph.nodes if n.name in ("see", "kalman")]
    with pytest.raises(GraphError, match=r"needs one stage behind it .*: there is none"):
        Graph(graph.cameras, tuple(alone))
    twice = replace(graph.node("screening"), name="other")
    with pytest.raises(GraphError, match="'screening' and 'other'"):
        graph.with_node(twice)
    wrong = replace(graph.node("screening"), returns_to="see")
    others = tuple(n for n in graph.nodes if n.name != "screening")
    with pytest.raises(GraphError):
        Graph(graph.cameras, (*others, wrong))


CONFIG = """
cameras: [{id: street, uri: "rendered:day?seconds=1"}]
engines:
  cpu0: {backend: onnxruntime, threads: 1}
stages:
  detect: {model: street-pico}
"""


def test_a_chain_has_the_tracker_whole_or_in_parts() -> None:
    graph = pipeline.build(pipeline.loads(CONFIG + "  kalman: {preset: sort}\n"))
    assert [n.name for n in graph.nodes][-3:] == list(PARTS)
    assert graph.node("screening").returns_to == "kalman"
    assert "gives back to kalman" in graph.text()
    assert graph.node("matching").stage.consumes is Predicted
    assert graph.node("matching").stage.produces is Matched
    with pytest.raises(ConfigError, match="a chain has no place beside"):
        pipeline.loads(CONFIG + "  kalman: {}\n  track: {}\n")


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        ("  matching: {on_full: drop_oldest}\n", r"stages\.matching\.on_full: .*block"),
        ("  screening: {on_full: drop_newest}\n", r"stages\.screening\.on_full: .*block"),
        ("  matching: {engine: npu7}\n", "no engine is called 'npu7'"),
        ("  kalman: {engine: npu7}\n", "no engine is called 'npu7'"),
        ("  kalman: {engine: cpu0, motion: filterpy}\n", r"kalman\.engine: .*motion: kalman only"),
        ("  kalman: {screening: {classes: [dog]}}\n", "there is no label 'dog'"),
        (
            "  kalman: {preset: sort, rounds: {iou: {similarity: giou}}}\n"
            "  matching: {engine: cpu0}\n",
            r"stages\.matching\.engine: no engine compares by giou",
        ),
    ],
)
def test_what_does_not_fit_is_told_where_it_is(stages: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        pipeline.build(pipeline.loads(CONFIG + stages))
