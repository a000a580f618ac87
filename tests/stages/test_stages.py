"""Every stage, driven with a list: one contract for all, then what each one is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from engines import Program
from engines.failover import Candidate
from pipeline.analytics.zone import ZoneSpec
from pipeline.config import AnalyseConfig
from pipeline.detection.detections import Detections
from pipeline.detection.heads import BoxesHead
from pipeline.detection.postprocess import Postprocessor
from pipeline.errors import PacketError, StageError
from pipeline.feedback import Feedback
from pipeline.ledger import Ticket
from pipeline.media.geometry import place
from pipeline.media.picture import BgrPicture
from pipeline.media.preprocess import Preprocessor
from pipeline.models.package import load_model
from pipeline.network import BoundNetwork
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.payloads import Decoded, Detected, ModelInput, ModelOutput, TrackerState
from pipeline.stage import Stage, drive
from pipeline.stages.analyse import AnalyseStage
from pipeline.stages.camera_motion import CameraMotionStage
from pipeline.stages.detect import DetectStage
from pipeline.stages.embed import EmbedStage
from pipeline.stages.kalman import KalmanStage
from pipeline.stages.matching import MatchingStage
from pipeline.stages.merge import MergeStage
from pipeline.stages.postprocess import PostprocessStage
from pipeline.stages.preprocess import PreprocessStage
from pipeline.stages.screening import ScreeningStage
from pipeline.stages.track import TrackStage
from pipeline.tracking.camera_motion import CameraMotion
from pipeline.tracking.spec import TrackSpec
from pipeline.world import World

PLACEMENT = place(48, 32, 48, 32)
BOX = np.array([[8, 4, 40, 28]], np.float32)


def picture(light: int) -> BgrPicture:
    return BgrPicture(np.full((32, 48, 3), light, np.uint8))


def packet(payload: Any, sequence: int = 0, camera: str = "cam") -> Packet[Any]:
    frame = FrameInfo(camera, sequence, sequence, sequence * 40_000_000, 48, 32)
    return Packet(frame, payload, Ticket(camera))


def model_input(light: int) -> ModelInput:
    tensor = np.full((1, 3, 32, 48), light, np.float32)
    return ModelInput(picture(light), tensor, PLACEMENT)


def detected(score: float = 0.9) -> Detected:
    detections = Detections(BOX, np.array([score], np.float32), np.zeros(1, np.int32))
    return Detected(picture(100), detections)


def on_cpu(program: Program) -> BoundNetwork:
    make = partial(engines.create, "cpu0", "onnxruntime")
    return BoundNetwork([Candidate("cpu0", make, program)])


def bound(folder: Path) -> BoundNetwork:
    return on_cpu(load_model(folder).program)


@pytest.fixture
def make(light_meter: Path, mean_color: Path) -> Callable[[str], tuple[Stage[Any, Any], Any]]:
    """Makes a stage of each kind, with a payload it takes."""
    manifest = load_model(light_meter).manifest
    crops = load_model(mean_color).manifest
    assert manifest.preprocess
    assert crops.preprocess

    def make(kind: str) -> tuple[Stage[Any, Any], Any]:
        match kind:
            case "preprocess":
                spec = manifest.preprocess
                preprocessor = Preprocessor(spec, 48, 32, np.dtype("float32"), "nchw")
                return PreprocessStage(preprocessor), Decoded(picture(100))
            case "detect":
                return DetectStage(bound(light_meter)), model_input(100)
            case "postprocess":
                tensors = {"boxes": BOX[None], "scores": np.array([[0.9]], np.float32)}
                postprocessor = Postprocessor(BoxesHead(family="boxes"), ["light"])
                return PostprocessStage(postprocessor), ModelOutput(
                    picture(100), tensors, PLACEMENT
                )
            case "camera_motion":
                return CameraMotionStage(480, 100), detected()
            case "embed":
                preprocessor = Preprocessor(crops.preprocess, 8, 16, np.dtype("float32"), "nchw")
                return EmbedStage(bound(mean_color), preprocessor, 3), detected()
            case "merge":
                return MergeStage([np.zeros(1, np.int32)], 0.5), detected()
            case "matching" | "screening":
                spec, feedback = TrackSpec(min_hits=1), Feedback[TrackerState]()
                (predicted,) = KalmanStage(spec, feedback).process(packet(detected()))
                matching = MatchingStage(spec, feedback)
                if kind == "matching":
                    return matching, predicted.payload
                (matched,) = matching.process(predicted)
                return ScreeningStage(spec, feedback), matched.payload
            case "analyse":
                (tracked,) = TrackStage(TrackSpec(min_hits=1)).process(packet(detected()))
                zone = ZoneSpec(points=((0, 0), (1, 0), (1, 1)))
                return AnalyseStage(AnalyseConfig(rules={"zone": zone}), 2.0), tracked.payload
            case _:
                return TrackStage(TrackSpec(min_hits=1)), detected()

    return make


KINDS = (
    "preprocess", "detect", "postprocess", "camera_motion", "embed", "merge", "track", "matching",
    "screening", "analyse",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_stage_takes_what_it_says_and_gives_what_it_says(kind: str, make: Any) -> None:
    stage, payload = make(kind)
    assert isinstance(payload, stage.consumes)
    (out,) = drive(stage, [packet(payload)])
    assert isinstance(out.payload, stage.produces)


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_keeps_its_header_and_its_line_in_the_ledger(kind: str, make: Any) -> None:
    stage, payload = make(kind)
    packets = [packet(payload, sequence) for sequence in range(3)]
    out = list(drive(stage, packets))
    assert [o.frame for o in out] == [p.frame for p in packets]
    assert all(o.ticket is p.ticket for o, p in zip(out, packets, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [Status.DAMAGED, Status.BLIND])
def test_a_status_never_gets_better(kind: str, status: Status, make: Any) -> None:
    stage, payload = make(kind)
    (out,) = drive(stage, [packet(payload).marked(status, "why")])
    assert (out.status, out.reason) == (status, "why")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stage_hands_on_what_no_detector_saw(kind: str, make: Any) -> None:
    stage, payload = make(kind)
    (out,) = drive(stage, [packet(payload).unseen(Status.DAMAGED, "corrupt_frame")])
    assert isinstance(out.payload, stage.produces)
    assert (out.status, out.seen) == (Status.DAMAGED, False)


def test_nobody_looks_at_a_damaged_picture_and_its_tracks_coast(light_meter: Path) -> None:
    stage = DetectStage(bound(light_meter))
    (out,) = drive(stage, [packet(model_input(200)).unseen(Status.DAMAGED, "corrupt_frame")])
    assert not out.payload.tensors
    tracker = TrackStage(TrackSpec(min_hits=1))
    nothing = Detected(picture(0), Detections.empty())
    packets = [packet(detected(), i) for i in range(3)]
    *_, coasted = drive(tracker, [*packets, packet(nothing, 3).unseen(Status.DAMAGED, "lost")])
    assert len(coasted.payload.tracks) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_stage_may_be_closed_without_having_been_opened(kind: str, make: Any) -> None:
    stage, _ = make(kind)
    stage.close()


def test_preprocess_gives_the_models_input(make: Any) -> None:
    stage, payload = make("preprocess")
    (out,) = drive(stage, [packet(payload)])
    assert out.payload.tensor.shape == (1, 3, 32, 48)
    assert (out.payload.tensor == 100).all()


def test_the_exact_preprocessing_equals_the_fast_one_on_a_plain_picture(make: Any) -> None:
    fast, payload = make("preprocess")
    exact = PreprocessStage(fast._preprocessor, fast=False)
    (one,), (other,) = drive(fast, [packet(payload)]), drive(exact, [packet(payload)])
    assert np.array_equal(one.payload.tensor, other.payload.tensor)


def test_a_network_that_gives_nan_blinds_its_frame_only(light_meter: Path) -> None:
    stage = DetectStage(bound(light_meter))
    packets = [packet(model_input(light), i) for i, light in enumerate((100, 5, 200))]
    out = list(drive(stage, packets))
    assert [o.status for o in out] == [Status.OK, Status.BLIND, Status.OK]
    assert "scores has 1 of 1 elements not finite" in out[1].reason
    assert out[1].payload.tensors == {}
    assert {o.engine for o in out} == {"cpu0"}


def test_a_batch_gives_what_one_by_one_gives(light_meter: Path) -> None:
    packets = [packet(model_input(light), i) for i, light in enumerate((100, 5, 200, 30))]
    single = [o.payload.tensors for o in drive(DetectStage(bound(light_meter)), packets)]
    stage = DetectStage(bound(light_meter))
    stage.open()
    together = [o.payload.tensors for (o,) in stage.process_batch(packets)]
    without_dark = [o.payload.tensors for (o,) in stage.process_batch([packets[0], packets[2]])]
    stage.close()
    for one, other in zip(single, together, strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)
    assert all(t["scores"].shape == (1, 1) for t in without_dark)
    assert np.array_equal(without_dark[1]["scores"], single[2]["scores"])


def test_an_engine_that_cannot_load_stops_the_stage(tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"no network")
    program = engines.Network(path, "onnx")
    stage = DetectStage(on_cpu(program))
    with pytest.raises(StageError, match=r"bad\.onnx"):
        stage.open()
    stage.close()


def test_a_blind_frame_has_no_detections_and_its_tracks_coast() -> None:
    stage = TrackStage(TrackSpec(min_hits=1))
    packets = [packet(detected(), i) for i in range(3)]
    packets.append(packet(Detected(picture(0), Detections.empty()), 3).marked(Status.BLIND, "gone"))
    packets.append(packet(detected(), 4))
    out = list(drive(stage, packets))
    assert [o.payload.tracks.ids.tolist() for o in out] == [[1]] * 5
    assert out[3].payload.tracks.unseen_s[0] == pytest.approx(0.04)
    assert out[4].payload.tracks.unseen_s[0] == 0


def test_cameras_have_their_own_identities() -> None:
    stage = TrackStage(TrackSpec(min_hits=1))
    out = list(drive(stage, [packet(detected(), 0, camera) for camera in "ab"]))
    assert [o.payload.tracks.ids.tolist() for o in out] == [[1], [1]]


def test_time_that_goes_back_drops_the_frame() -> None:
    stage = TrackStage(TrackSpec())
    list(stage.process(packet(detected(), 1)))
    with pytest.raises(PacketError, match="time_went_back"):
        list(stage.process(packet(detected(), 0)))


def street(column: int, width: int = 320) -> Detected:
    """What a camera sees that has turned to the right by so many pixels."""
    image = World("day", 4, 400, 180).render(40).image_bgr[:, column : column + width]
    return Detected(BgrPicture(image.copy()), Detections.empty())


def test_each_camera_has_its_own_motion() -> None:
    columns = [("a", 10), ("b", 30), ("a", 16), ("b", 30), ("a", 12)]
    packets = [packet(street(x), i, camera) for i, (camera, x) in enumerate(columns)]
    out = [o.payload.camera_motion for o in drive(CameraMotionStage(480, 100), packets)]
    assert [m and m.since_ns for m in out] == [None, None, 0, 40_000_000, 80_000_000]
    shifts = [m.matrix[:, 2] for m in out if m]
    assert np.allclose(shifts, [(-6, 0), (0, 0), (4, 0)], atol=0.1)


def test_a_blind_frame_has_a_motion_too() -> None:
    packets = [packet(street(10)), packet(street(16), 1).marked(Status.BLIND, "gone")]
    _, out = drive(CameraMotionStage(480, 100), packets)
    assert out.payload.camera_motion.matrix[0, 2] == pytest.approx(-6, abs=0.1)


@pytest.mark.parametrize("change", ["epoch", "size"])
def test_after_a_change_nobody_knows_how_the_camera_moved(change: str) -> None:
    widths = (320, 320, 300, 300) if change == "size" else (320,) * 4
    epochs = (0, 0, 1, 1) if change == "epoch" else (0,) * 4
    packets = [packet(street(10, width), i) for i, width in enumerate(widths)]
    packets = [
        replace(p, frame=replace(p.frame, epoch=epoch))
        for p, epoch in zip(packets, epochs, strict=True)
    ]
    out = [o.payload.camera_motion for o in drive(CameraMotionStage(480, 100), packets)]
    assert [m is None for m in out] == [True, False, True, False]


def test_tracks_move_with_the_camera() -> None:
    """A camera swings round by more than an object's width: it is still the same object."""
    moved = replace(
        detected(),
        detections=replace(detected().detections, boxes_xyxy=BOX + np.float32([60, 0, 60, 0])),
    )
    motion = CameraMotion(np.array([[1.0, 0, 60], [0, 1, 0]]), since_ns=0)
    known, unknown = (
        drive(TrackStage(TrackSpec()), [packet(detected()), packet(second, 1), packet(second, 2)])
        for second in (replace(moved, camera_motion=motion), moved)
    )
    assert [o.payload.tracks.ids.tolist() for o in known] == [[1], [1], [1]]
    assert [o.payload.tracks.ids.tolist() for o in unknown] == [[1], [], []]


def test_embed_keeps_the_motion_of_the_camera(make: Any) -> None:
    stage, payload = make("embed")
    motion = CameraMotion(np.eye(2, 3), since_ns=0)
    (out,) = drive(stage, [packet(replace(payload, camera_motion=motion))])
    assert out.payload.camera_motion is motion
    assert out.payload.embeddings is not None


def test_embeddings_have_length_one_and_one_row_a_detection(mean_color: Path, make: Any) -> None:
    stage, _ = make("embed")
    two = Detections(np.repeat(BOX, 2, 0), np.ones(2, np.float32), np.zeros(2, np.int32))
    none = Detected(picture(100), Detections.empty())
    out = list(drive(stage, [packet(Detected(picture(100), two)), packet(none, 1)]))
    assert out[0].payload.embeddings.shape == (2, 3)
    assert np.allclose(out[0].payload.embeddings, 1 / np.sqrt(3))
    assert out[1].payload.embeddings.shape == (0, 3)


def test_what_is_hardly_seen_is_not_embedded(mean_color: Path, make: Any) -> None:
    stage, _ = make("embed")
    choosy = EmbedStage(stage._network, stage._preprocessor, 3, min_score=0.5)
    scores = np.array([0.9, 0.4, 0.5], np.float32)
    three = Detections(np.repeat(BOX, 3, 0), scores, np.zeros(3, np.int32))
    (out,) = drive(choosy, [packet(Detected(picture(100), three))])
    lengths = np.linalg.norm(out.payload.embeddings, axis=1)
    assert lengths == pytest.approx([1, 0, 1])


def test_merged_detectors_keep_the_better_of_two_boxes_and_share_labels() -> None:
    far = np.array([[0, 0, 4, 4]], np.float32)
    left = Detections(BOX, np.array([0.6], np.float32), np.array([1], np.int32))
    right = Detections(
        np.concatenate([BOX + 1, far]),
        np.array([0.9, 0.5], np.float32),
        np.array([0, 1], np.int32),
    )
    maps = [np.array([0, 2], np.int32), np.array([2, 3], np.int32)]
    stage = MergeStage(maps, 0.5)
    (out,) = stage.join([packet(Detected(picture(9), part)) for part in (left, right)])
    merged = out.payload.detections
    assert merged.scores.tolist() == pytest.approx([0.9, 0.5])
    assert merged.labels.tolist() == [2, 3]
    assert np.array_equal(merged.boxes_xyxy[0], BOX[0] + 1)


def test_one_branch_that_knows_how_the_camera_moved_is_enough() -> None:
    motion = CameraMotion(np.eye(2, 3), since_ns=0)
    branches = [detected(), replace(detected(), camera_motion=motion)]
    stage = MergeStage([np.zeros(1, np.int32)] * 2, 0.5)
    (out,) = stage.join([packet(branch) for branch in branches])
    assert out.payload.camera_motion is motion


def test_a_frame_that_one_detector_did_not_see_is_blind() -> None:
    stage = MergeStage([np.zeros(1, np.int32)] * 2, 0.5)
    packets = [packet(detected()), packet(detected()).marked(Status.BLIND, "device gone")]
    (out,) = stage.join(packets)
    assert (out.status, out.reason) == (Status.BLIND, "device gone")
