"""Stages bound to engines give what plain code gives, and are blind where their engine fails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import engines
import pipeline
from engines import Kernel, TensorSpec
from engines.failover import Candidate
from engines.program import Tensors
from pipeline.detection.boxes import iou_matrix
from pipeline.detection.detections import Detections
from pipeline.detection.heads import BoxesHead
from pipeline.detection.postprocess import Postprocessor
from pipeline.errors import ConfigError
from pipeline.kernels.cosine import cosine
from pipeline.kernels.head_decode import head_decode
from pipeline.kernels.iou import iou
from pipeline.ledger import Ticket
from pipeline.media.geometry import place
from pipeline.media.picture import BgrPicture
from pipeline.media.preprocess import Preprocessor
from pipeline.models.package import load_model
from pipeline.network import BoundNetwork
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.payloads import Decoded, Detected, ModelOutput, Tracked
from pipeline.stage import Stage, drive
from pipeline.stages.detect import DetectStage
from pipeline.stages.postprocess import PostprocessStage
from pipeline.stages.preprocess import MOST_SIZES, BoundPreprocessStage
from pipeline.stages.track import TrackStage
from pipeline.tracking.spec import TrackSpec
from tests.kernels.running import readers

REPOSITORY = Path(__file__).resolve().parents[2]
#: What every stage can be bound to.
BACKENDS = ["host", *readers("head-decode")]

STREET = f"""
cameras:
  - {{id: street, uri: "{REPOSITORY}/sample_videos/day.mp4", start_s: 2, end_s: 4}}
engines:
  cpu0: {{backend: onnxruntime, threads: 1}}
  k0: {{backend: host}}
stages:
  preprocess: {{fast: false}}
  detect: {{model: street-pico, engine: cpu0}}
  postprocess: {{}}
  embed: {{model: reid-pico, engine: cpu0}}
  track: {{association: [high, low, reid], measured_share: 0.8}}
"""
BOUND = [f"stages.{stage}.engine=k0" for stage in ("preprocess", "postprocess", "track")]


def results(*overrides: str) -> list[Packet[Tracked]]:
    return list(pipeline.stream(pipeline.build(pipeline.loads(STREET, overrides=overrides))))


@pytest.fixture(scope="module")
def unbound() -> list[Packet[Tracked]]:
    return results()


def difference(
    found: Sequence[Packet[Tracked]], wanted: Sequence[Packet[Tracked]]
) -> tuple[int, NDArray[np.float32]]:
    """How many boxes have no like of their track's number, and how far the others overlap it."""
    alone, overlaps = 0, []
    assert [packet.frame.index for packet in found] == [packet.frame.index for packet in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.status is Status.OK
        a, b = ours.payload.tracks, theirs.payload.tracks
        common, i, j = np.intersect1d(a.ids, b.ids, return_indices=True)
        alone += len(a.ids) + len(b.ids) - 2 * len(common)
        overlaps.append(np.diag(iou_matrix(a.boxes_xyxy[i], b.boxes_xyxy[j])))
    return alone, np.concatenate(overlaps)


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_stages_bound_give_the_same_tracks(
    backend: str, unbound: list[Packet[Tracked]]
) -> None:
    assert len({id_ for packet in unbound for id_ in packet.payload.tracks.ids}) > 3
    found = results(f"engines.k0.backend={backend}", *BOUND)
    alone, overlaps = difference(found, unbound)
    # A level more or less in a picture moves a score across a threshold now and then.
    assert alone <= 0.01 * len(overlaps)
    assert overlaps.min() > 0.5
    assert np.median(overlaps) > 0.99


@pytest.mark.parametrize("backend", BACKENDS)
def test_bound_behind_the_network_the_boxes_are_the_same_too(
    backend: str, unbound: list[Packet[Tracked]]
) -> None:
    found = results(f"engines.k0.backend={backend}", *BOUND[1:])
    alone, overlaps = difference(found, unbound)
    assert alone == 0
    assert overlaps.min() > 0.9999


def test_the_plain_stages_are_not_touched_by_an_engine(unbound: list[Packet[Tracked]]) -> None:
    graph = pipeline.build(pipeline.loads(STREET))
    for name in ("preprocess", "postprocess", "track"):
        assert str(graph.node(name).binding) == ""
    bound = pipeline.build(pipeline.loads(STREET, overrides=BOUND))
    assert str(bound.node("preprocess").binding) == "letterbox on k0 (host/cpu/fp32)"
    assert str(bound.node("postprocess").binding) == "head-decode on k0 (host/cpu/fp32)"
    assert str(bound.node("track").binding) == "iou, cosine on k0 (host/cpu/fp32)"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["stages.track.engine=cpu1"], "no engine is called 'cpu1'"),
        (["stages.track.engine=auto"], "no engine is called 'auto'"),
        (
            ["stages.postprocess.engine=n0", "engines.n0={backend: ncnn}"],
            "stages.postprocess.engine: ncnn cannot run kernel head-decode; bind it to an engine "
            "with backend",
        ),
    ],
)
def test_an_impossible_binding_is_told_with_its_key(overrides: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        pipeline.build(pipeline.loads(STREET, overrides=overrides))


def failing(kernel: Kernel) -> BoundNetwork:
    """The kernel on the host; it fails whenever its first input has a 13 in it."""

    def function(tensors: Tensors) -> Tensors:
        if (next(iter(tensors.values())) == 13).any():
            raise ValueError("thirteen")
        assert kernel.function is not None
        return kernel.function(tensors)

    make = partial(engines.create, "k0", "host")
    return BoundNetwork([Candidate("k0", make, replace(kernel, function=function))])


def packet(payload: Any, sequence: int) -> Packet[Any]:
    frame = FrameInfo("cam", sequence, sequence, sequence * 40_000_000, 48, 32)
    return Packet(frame, payload, Ticket("cam"))


def statuses(stage: Stage[Any, Any], payloads: list[Any]) -> list[Packet[Any]]:
    """What the stage makes of three frames; the second one has a 13 in it."""
    out = list(drive(stage, [packet(payload, i) for i, payload in enumerate(payloads)]))
    assert [p.status for p in out] == [Status.OK, Status.BLIND, Status.OK]
    assert "thirteen" in out[1].reason
    return out


def test_preprocess_is_blind_where_its_engine_fails_and_detect_hands_it_on(
    light_meter: Path,
) -> None:
    package = load_model(light_meter)
    assert package.manifest.preprocess
    preprocessor = Preprocessor(package.manifest.preprocess, 48, 32, np.dtype("float32"), "nchw")
    pictures = [BgrPicture(np.full((30, 40, 3), light, np.uint8)) for light in (100, 13, 100)]
    out = statuses(BoundPreprocessStage(preprocessor, failing), [Decoded(p) for p in pictures])
    assert out[0].payload.tensor.shape == (1, 3, 32, 48)
    network = BoundNetwork(
        [Candidate("cpu0", partial(engines.create, "cpu0", "onnxruntime"), package.program)]
    )
    stage = DetectStage(network)
    stage.open()
    (seen,), (blind,), (again,) = stage.process_batch(out)
    stage.close()
    assert (seen.status, blind.status, again.status) == (Status.OK, Status.BLIND, Status.OK)
    assert blind.payload.tensors == {}
    assert set(seen.payload.tensors) == {"boxes", "scores"}


def test_kernels_are_kept_for_so_many_sizes_of_pictures_only(light_meter: Path) -> None:
    manifest = load_model(light_meter).manifest
    assert manifest.preprocess
    preprocessor = Preprocessor(manifest.preprocess, 48, 32, np.dtype("float32"), "nchw")
    bound = []

    def bind(kernel: Kernel) -> BoundNetwork:
        bound.append(kernel.parameters["width"])
        return failing(kernel)

    widths = [*range(50, 51 + MOST_SIZES), 50 + MOST_SIZES, 50]
    pictures = [BgrPicture(np.zeros((30, width, 3), np.uint8)) for width in widths]
    stage = BoundPreprocessStage(preprocessor, bind)
    out = list(drive(stage, [packet(Decoded(p), i) for i, p in enumerate(pictures)]))
    assert all(p.status is Status.OK for p in out)
    assert bound == [48, *widths[:-2], 50], "the last one anew, the one before from those kept"
    (traffic,) = stage.traffic().values()
    assert traffic.forwards == len(widths), "what was let go is still counted"
    assert traffic.bytes_in == 3 * 30 * sum(widths)


def test_postprocess_is_blind_where_its_engine_fails() -> None:
    postprocessor = Postprocessor(BoxesHead(family="boxes"), ["light"])
    specs = [
        TensorSpec("boxes", (1, 1, 4), np.dtype("float32")),
        TensorSpec("scores", (1, 1), np.dtype("float32")),
    ]
    kernel = head_decode(postprocessor, specs, 48, 32)
    picture, placement = BgrPicture(np.zeros((32, 48, 3), np.uint8)), place(48, 32, 48, 32)
    payloads = [
        ModelOutput(
            picture,
            {
                "boxes": np.array([[[left, 4, 40, 28]]], np.float32),
                "scores": np.array([[0.9]], np.float16),
            },
            placement,
        )
        for left in (8, 13, 8)
    ]
    out = statuses(PostprocessStage(postprocessor, failing(kernel)), payloads)
    assert [len(p.payload.detections) for p in out] == [1, 0, 1]


def test_tracks_coast_where_the_engine_of_the_cost_fails() -> None:
    """Thirteen is where the track is predicted to be, not where it is seen."""
    picture = BgrPicture(np.zeros((32, 48, 3), np.uint8))

    def seen(left: float) -> Detected:
        boxes = np.array([[left, 4, left + 20, 28]], np.float32)
        found = Detections(boxes, np.array([0.9], np.float32), np.zeros(1, np.int32))
        return Detected(picture, found, np.ones((1, 1), np.float32))

    def fails(tensors: Tensors) -> Tensors:
        if (tensors["b"] == 13).any():
            raise ValueError("thirteen")
        return {"iou": iou_matrix(tensors["a"], tensors["b"])}

    networks = failing(replace(iou(), function=fails)), failing(cosine())
    stage = TrackStage(TrackSpec(min_hits=1), networks)
    out = statuses(stage, [seen(12), seen(13), seen(14)])
    assert [p.payload.tracks.ids.tolist() for p in out] == [[1], [1], [1]]
    assert out[1].payload.tracks.unseen_s > 0
    assert out[2].payload.tracks.unseen_s == 0
