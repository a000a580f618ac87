"""A two-stage detector as stages: whole runs, each engine, batches, blindness, and misfits."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import engines
import pipeline
from engines.failover import Candidate
from pipeline.detection.proposals import Proposals
from pipeline.errors import ConfigError, GraphError, StageError
from pipeline.ledger import Ticket
from pipeline.media.geometry import place
from pipeline.media.picture import BgrPicture
from pipeline.models.package import load_model
from pipeline.network import BoundNetwork
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.parity import compare, difference
from pipeline.payloads import Detected, ModelOutput, Pooled, Proposed, RoiOutput, Tracked
from pipeline.recording.file import Recording
from pipeline.recording.replay import replay
from pipeline.recording.sink import recording_graph
from pipeline.resources import shipped
from pipeline.serial import run_serially
from pipeline.stage import Run, drive
from pipeline.stages.boxes import BoxesStage
from pipeline.stages.proposals import ProposalsStage
from pipeline.stages.roi_head import RoiHeadStage
from tests.kernels.running import readers

STAGES = ("preprocess", "backbone", "proposals", "roi_align", "roi_head", "boxes", "track")
CONFIG = """
cameras:
  - {id: street, uri: "rendered:day?seconds=0.6"}
engines:
  cpu0: {backend: onnxruntime, threads: 1}
  cpu1: {backend: onnxruntime, threads: 1}
stages:
  backbone: {model: street-duo-rpn, engine: cpu0}
  roi_head: {model: street-duo-head, engine: cpu1}
  boxes: {score: 0.3}
outputs: []
"""
PLACEMENT = place(64, 36, 512, 288)


def packet(payload: Any, number: int = 0) -> Packet[Any]:
    frame = FrameInfo("cam", number, number, number * 40_000_000, 64, 36)
    return Packet(frame, payload, Ticket("cam"))


def picture() -> BgrPicture:
    return BgrPicture(np.full((36, 64, 3), 90, np.uint8))


def pooled(count: int, seed: int = 0) -> Pooled:
    """As many proposals with features, of no picture that ever was."""
    chance = np.random.default_rng(seed)
    low = chance.uniform(0, 200, (count, 2))
    boxes = np.hstack([low, low + chance.uniform(5, 80, (count, 2))]).astype(np.float32)
    rois = chance.uniform(0, 2, (count, 48, 6, 6)).astype(np.float32)
    proposals = Proposals(boxes, np.zeros(count, np.float32), boxes)
    return Pooled(picture(), PLACEMENT, proposals, {"roi_features": rois})


def head(**options: Any) -> RoiHeadStage:
    make = partial(engines.create, "cpu0", "onnxruntime", threads=1, **options)
    program = load_model("street-duo-head").program
    return RoiHeadStage(BoundNetwork([Candidate("cpu0", make, program)]))


def boxes_stage() -> BoxesStage:
    entry = load_model("street-duo-head").manifest.roi_head
    assert entry is not None
    return BoxesStage(entry, entry.spec(0.3, 0.5, 100, None))


def found_by(*overrides: str) -> list[Packet[Tracked]]:
    return list(pipeline.stream(pipeline.build(pipeline.loads(CONFIG, overrides=overrides))))


def boxes_of(packets: list[Packet[Tracked]]) -> list[bytes]:
    return [p.payload.detections.boxes_xyxy.tobytes() for p in packets]


def test_every_step_is_a_stage_of_its_own() -> None:
    graph = pipeline.build(pipeline.loads(CONFIG))
    assert tuple(node.name for node in graph.nodes) == STAGES
    with run_serially(graph.without_sinks()) as run:
        step = next(run)
    kinds = [type(step[name][0].payload) for name in STAGES[1:]]
    assert kinds == [ModelOutput, Proposed, Pooled, RoiOutput, Detected, Tracked]
    (tracked,) = (p.payload for p in step["track"])
    assert len(tracked.detections) > 3
    assert len(tracked.proposals) == 100
    width, height = tracked.picture.width, tracked.picture.height
    assert (tracked.proposals.boxes_xyxy <= (width, height) * 2).all(), "source pixels"


@pytest.mark.parametrize("backend", ["host", *readers("proposals")])
def test_the_steps_between_run_on_any_engine_that_can(backend: str) -> None:
    bound = [f"stages.{stage}={{engine: k0}}" for stage in ("proposals", "roi_align")]
    bound += [f"engines.k0={{backend: {backend}}}", "stages.boxes.engine=k0"]
    for ours, theirs in zip(found_by(*bound), found_by(), strict=True):
        a, b = ours.payload.detections, theirs.payload.detections
        assert ours.status is Status.OK
        # A proposal at the edge of what is kept may be another one.
        assert abs(len(a) - len(b)) <= 1
        apart = np.abs(a.boxes_xyxy[:, None] - b.boxes_xyxy).max(axis=2).min(axis=1)
        assert np.quantile(apart, 0.9) < 0.05, "pixels"


def test_a_batch_of_several_frames_gives_what_each_gives_alone() -> None:
    batch = "stages.roi_head.batch={max: 4, wait_ms: 50}"
    assert boxes_of(found_by(batch)) == boxes_of(found_by())


def test_rois_of_several_frames_go_through_the_network_together() -> None:
    counts = (3, 0, 40, 1)
    packets = [packet(pooled(count, count), n) for n, count in enumerate(counts)]
    packets[3] = packet(replace(pooled(1), tensors={}), 3).marked(Status.BLIND, "why")
    stage = head()
    stage.open()
    together = [out for (out,) in stage.process_batch(packets)]
    alone = [out for p in packets for out in stage.process(p)]
    stage.close()
    assert [out.frame.index for out in together] == [0, 1, 2, 3]
    for one, other in zip(together, alone, strict=True):
        assert one.payload.tensors.keys() == other.payload.tensors.keys()
        for name, rows in one.payload.tensors.items():
            assert len(rows) == len(one.payload.proposals)
            np.testing.assert_array_equal(rows, other.payload.tensors[name])
    assert together[3].status is Status.BLIND


def test_where_nothing_is_proposed_nothing_is_found_and_the_frame_is_not_blind() -> None:
    (output,) = drive(head(), [packet(pooled(0))])
    (found,) = drive(boxes_stage(), [output])
    assert (found.status, len(found.payload.detections)) == (Status.OK, 0)
    assert len(found.payload.proposals) == 0


def test_a_frame_whose_features_are_not_finite_blinds_itself_only() -> None:
    bad = pooled(4)
    bad.tensors["roi_features"][2] = np.nan
    stage = head()
    stage.open()
    results = stage.process_batch([packet(pooled(3), 0), packet(bad, 1), packet(pooled(2), 2)])
    stage.close()
    outs = [out for (out,) in results]
    assert [out.status for out in outs] == [Status.OK, Status.BLIND, Status.OK]
    (found,) = drive(boxes_stage(), [outs[1]])
    assert (found.status, len(found.payload.detections)) == (Status.BLIND, 0)


def test_a_blind_frame_stays_blind_through_all_steps() -> None:
    overrides = ["stages.proposals.engine=k0", "engines.k0={backend: host}"]
    graph = pipeline.build(pipeline.loads(CONFIG, overrides=overrides))
    blind = packet(ModelOutput(picture(), {}, PLACEMENT)).marked(Status.BLIND, "gone")
    packets: list[Packet[Any]] = [blind]
    for name in STAGES[2:]:
        stage = graph.node(name).make(Run())
        packets = list(drive(stage, packets))
        assert [(p.status, p.reason) for p in packets] == [(Status.BLIND, "gone")], name
    assert len(packets[0].payload.detections) == 0


@pytest.mark.parametrize(("before", "stage"), list(pairwise(STAGES)))
def test_each_stage_gives_again_what_was_recorded(before: str, stage: str, tmp_path: Path) -> None:
    graph = pipeline.build(pipeline.loads(CONFIG, overrides=["cameras[0].every=5"]))
    for at in (before, stage):
        pipeline.run(recording_graph(graph, at, tmp_path / at))
    with Recording(tmp_path / before) as given, Recording(tmp_path / stage) as wanted:
        pairs = list(zip(wanted.packets(), replay(graph, stage, given), strict=True))
    assert len(pairs) == 3
    for expected, found in pairs:
        assert not any(difference(expected, found).values())


def changed(tmp_path: Path, model: str, change: Any) -> Path:
    """A copy of a shipped package with another manifest."""
    folder = shutil.copytree(shipped("models") / model, tmp_path / model)
    path = folder / "model.yaml"
    manifest = yaml.safe_load(path.read_text())
    change(manifest)
    path.write_text(yaml.safe_dump(manifest))
    return folder


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda m: m["rpn"]["levels"][0].update(sizes=[16, 32]),
            r"rpn.levels\[0\].objectness: axis 1 of output 'objectness' should be 6, one for each "
            r"anchor of a cell \(sizes times ratios\); found \[-1, 12, 36, 64\]",
        ),
        (
            lambda m: m["rpn"]["levels"][0].update(deltas="delta"),
            r"rpn.levels\[0\].deltas names output 'delta', the model has \['features'",
        ),
        (
            lambda m: m["rpn"]["levels"][0].pop("features"),
            "no level has features, so nothing could be pooled",
        ),
    ],
)
def test_anchors_that_do_not_fit_are_told(change: Any, complaint: str, tmp_path: Path) -> None:
    model = changed(tmp_path, "street-duo-rpn", change)
    with pytest.raises(ConfigError, match=complaint):
        pipeline.build(pipeline.loads(CONFIG, overrides=[f"stages.backbone.model={model}"]))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda m: m.update(labels=["person", "car"]),
            "roi_head.cls_logits: axis 1 of output 'cls_logits' should be 3, one for each label "
            r"and one for the background; found \[-1, 6\]",
        ),
        (
            lambda m: m["inputs"][0].update(shape=[-1, 112, 6, 6]),
            "street-duo-head takes features of 112 channels, features of street-duo-rpn has 48; "
            "take the two halves of one detector",
        ),
    ],
)
def test_a_head_of_another_detector_is_told(change: Any, complaint: str, tmp_path: Path) -> None:
    model = changed(tmp_path, "street-duo-head", change)
    with pytest.raises(ConfigError, match=complaint):
        pipeline.build(pipeline.loads(CONFIG, overrides=[f"stages.roi_head.model={model}"]))


def test_outputs_that_do_not_fit_the_anchors_end_the_run_with_a_remedy() -> None:
    rpn = load_model("street-duo-rpn").manifest.rpn
    assert rpn is not None
    tensors = {
        "features": np.zeros((1, 48, 4, 4), np.float32),
        "objectness": np.zeros((1, 9, 4, 4), np.float32),
        "anchor_deltas": np.zeros((1, 48, 4, 4), np.float32),
    }
    given = packet(ModelOutput(picture(), tensors, PLACEMENT))
    with pytest.raises(StageError, match="the weights do not fit the model's rpn"):
        list(drive(ProposalsStage(rpn, rpn.spec), [given]))


def test_the_halves_cannot_change_places() -> None:
    with pytest.raises(ConfigError, match="street-duo-head is for roi_head, not detect or rpn"):
        pipeline.build(pipeline.loads(CONFIG, overrides=["stages.backbone.model=street-duo-head"]))
    with pytest.raises(ConfigError, match="model street-duo-rpn is for rpn, not roi_head"):
        pipeline.build(pipeline.loads(CONFIG, overrides=["stages.roi_head.model=street-duo-rpn"]))


def test_a_size_the_network_does_not_take_is_told() -> None:
    with pytest.raises(ConfigError, match=r"stages.preprocess.size: .*the input is 512 wide"):
        pipeline.build(pipeline.loads(CONFIG, overrides=["stages.preprocess={size: [640, 360]}"]))


def test_stages_between_need_both_networks() -> None:
    text = """
cameras: [{id: a, uri: "rendered:day?seconds=1"}]
stages:
  preprocess: {after: decode, model: street-duo-rpn}
  boxes: {after: preprocess}
outputs: []
"""
    with pytest.raises((ConfigError, GraphError), match="there is no roi_head before it"):
        pipeline.build(pipeline.loads(text))


ASSIGNMENTS = {
    "openvino": "{backend: openvino, threads: 1}",
    "opencv": "{backend: opencv, threads: 1}",
    "sim-npu": "{backend: sim-npu, profile: atlas500}",
}


@pytest.mark.parametrize("backend", ASSIGNMENTS)
@pytest.mark.parametrize("places", [("cpu0",), ("cpu1",), ("cpu0", "cpu1")])
def test_either_half_may_move_to_another_engine(backend: str, places: tuple[str, ...]) -> None:
    if why := engines.engine_class(backend).describe().missing:
        pytest.skip(f"{backend}: {why}")
    moved = [f"engines.{place}={ASSIGNMENTS[backend]}" for place in places]
    one, other = (pipeline.build(pipeline.loads(CONFIG, overrides=o)) for o in ([], moved))
    found = compare(one, other, frames=6)
    assert found.ap50 is not None
    assert found.ap50 > 0.95
    if backend != "sim-npu":
        assert found.first is None, found
