"""embed: together as one by one, in any batch the network takes, and only where it is needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import engines
import pipeline
from engines.failover import Candidate
from pipeline.clock import ManualClock
from pipeline.detection.detections import Detections
from pipeline.governor import Governor
from pipeline.graph import Node
from pipeline.ledger import Ticket
from pipeline.media.picture import BgrPicture
from pipeline.media.preprocess import Preprocessor
from pipeline.models.manifest import PreprocessSpec
from pipeline.network import BoundNetwork
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.payloads import Detected
from pipeline.resources import shipped
from pipeline.serial import run_serially
from pipeline.stage import Sink
from pipeline.stages.crops import CROPS
from pipeline.stages.embed import EmbedStage, SparingEmbedStage

WIDTH, HEIGHT, DIM = 160, 120, 3
STEP_NS = 40_000_000


class CountingNetwork(BoundNetwork):
    """Notes how many inputs came in each call."""

    def __init__(self, program: engines.Network) -> None:
        make = partial(engines.create, "cpu0", "onnxruntime")
        super().__init__([Candidate("cpu0", make, program)])
        self.calls: list[int] = []

    def run(self, inputs: NDArray[Any] | Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        assert isinstance(inputs, np.ndarray)
        self.calls.append(len(inputs))
        return super().run(inputs)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], CountingNetwork]:
    """Makes networks for that many crops, -1 for any: the root of each channel's mean above 9."""

    def make(batch: int) -> CountingNetwork:
        nodes = [
            helper.make_node("ReduceMean", ["crops"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("Sub", ["mean", "nine"], ["above"]),
            helper.make_node("Sqrt", ["above"], ["embedding"]),  # not a number in the dark
        ]
        first = "batch" if batch < 0 else batch
        graph = helper.make_graph(
            nodes,
            "roots",
            [helper.make_tensor_value_info("crops", TensorProto.FLOAT, [first, 3, 16, 8])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [first, DIM])],
            [numpy_helper.from_array(np.float32(9), "nine")],
        )
        path = tmp_path_factory.mktemp("roots") / "roots.onnx"
        opset = helper.make_opsetid("", 13)
        onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
        return CountingNetwork(engines.Network(path, "onnx"))

    return make


def preprocessor() -> Preprocessor:
    return Preprocessor(PreprocessSpec(resize="stretch"), 8, 16, np.dtype("float32"), "nchw")


def thorough(network: BoundNetwork, min_score: float = 0.0) -> EmbedStage:
    return EmbedStage(network, preprocessor(), DIM, min_score)


def sparing(network: BoundNetwork, refresh_s: float = 1.0) -> EmbedStage:
    return SparingEmbedStage(network, preprocessor(), DIM, 0.0, refresh_s)


def noise(seed: int, darkest: int = 20) -> BgrPicture:
    chance = np.random.default_rng(seed)
    return BgrPicture(chance.integers(darkest, 256, (HEIGHT, WIDTH, 3), np.uint8))


def packet(
    boxes: Sequence[Sequence[float]],
    sequence: int = 0,
    camera: str = "cam",
    picture: BgrPicture | None = None,
) -> Packet[Detected]:
    found = Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.ones(len(boxes), np.float32),
        np.zeros(len(boxes), np.int32),
    )
    frame = FrameInfo(camera, sequence, sequence, (sequence + 1) * STEP_NS, WIDTH, HEIGHT)
    return Packet(frame, Detected(picture or noise(sequence), found), Ticket(camera))


def walkers(sequence: int, count: int) -> list[list[float]]:
    """People side by side who walk slowly to the right, each alone."""
    return [[12 * k + 0.1 * sequence, 10, 12 * k + 9 + 0.1 * sequence, 60] for k in range(count)]


def street(frames: int) -> list[Packet[Detected]]:
    """Frames of two cameras in turn; each has one frame without anybody and a blind one."""
    packets = []
    for index in range(frames):
        for camera, count in (("a", 3), ("b", 7)):
            found = walkers(index, 0 if index == 2 else count)
            one = packet(found, index, camera)
            packets.append(one.marked(Status.BLIND, "gone") if index == 4 else one)
    return packets


def one_by_one(stage: EmbedStage, packets: Iterable[Packet[Detected]]) -> list[Packet[Detected]]:
    stage.open()
    out = [result for one in packets for result in stage.process(one)]
    stage.close()
    return out


def together(
    stage: EmbedStage, packets: Sequence[Packet[Detected]], most: int
) -> list[Packet[Detected]]:
    stage.open()
    batches = [packets[start : start + most] for start in range(0, len(packets), most)]
    out = [result for batch in batches for (result,) in stage.process_batch(batch)]
    stage.close()
    return out


def lengths(one: Packet[Detected]) -> list[float]:
    assert one.payload.embeddings is not None
    norms: list[float] = np.linalg.norm(one.payload.embeddings, axis=1).tolist()
    return norms


def same(one: Packet[Detected], other: Packet[Detected]) -> bool:
    a, b = one.payload.embeddings, other.payload.embeddings
    equal = a is b if a is None or b is None else a.tobytes() == b.tobytes()
    return equal and (one.frame, one.status, one.reason) == (
        other.frame,
        other.status,
        other.reason,
    )


@pytest.mark.parametrize("make", [thorough, sparing])
@pytest.mark.parametrize("batch", [-1, 1, 4])
@pytest.mark.parametrize("most", [2, 5, 64])
def test_together_is_as_one_by_one(make: Any, batch: int, most: int, networks: Any) -> None:
    packets = street(8)
    single = one_by_one(make(networks(-1)), packets)
    assert all(map(same, single, together(make(networks(batch)), packets, most)))


def test_no_call_is_larger_than_it_may_be(networks: Any) -> None:
    crowd = [walkers(0, 13)] * 6
    expected = {-1: [CROPS, CROPS, 6 * 13 - 2 * CROPS], 1: [1] * 78, 4: [4] * 20}
    for batch, calls in expected.items():
        network = networks(batch)
        together(thorough(network), [packet(boxes) for boxes in crowd], 6)
        assert network.calls == calls


def test_what_cannot_be_seen_is_not_looked_at(networks: Any) -> None:
    nan = float("nan")
    boxes = [
        [10, 10, 30, 60],
        [-20, -30, 15, 40],  # partly outside
        [150, 100, 400, 300],
        [-90, 10, -40, 60],  # outside
        [10, 130, 30, 180],
        [-9.5, 10, 0.5, 60],  # not a pixel of it inside
        [50, 20, 50, 90],  # no area
        [60, 90, 40, 20],  # turned round
        [nan, nan, nan, nan],
    ]
    for stage in (thorough(networks(-1)), sparing(networks(-1))):
        (out,) = one_by_one(stage, [packet(boxes)])
        assert lengths(out) == pytest.approx([1, 1, 1, 0, 0, 0, 0, 0, 0])
        assert stage._network.calls == [3]


@pytest.mark.parametrize("make", [thorough, sparing])
def test_a_picture_that_the_network_cannot_stand_costs_only_itself(
    make: Any, networks: Any
) -> None:
    packets = [packet(walkers(0, 3), 0, camera) for camera in "abc"]
    dark = BgrPicture(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    packets[1] = packet(walkers(0, 3), 0, "b", dark)
    out = together(make(networks(-1)), packets, 3)
    assert [one.status for one in out] == [Status.OK, Status.DAMAGED, Status.OK]
    assert "no embeddings: " in out[1].reason
    assert "not finite" in out[1].reason
    assert out[1].payload.embeddings is None
    assert lengths(out[0]) == pytest.approx([1, 1, 1])
    assert all(map(same, out, one_by_one(make(networks(-1)), packets)))


def test_where_needed_is_each_cameras_own_business(networks: Any) -> None:
    network = networks(-1)
    packets = [packet(walkers(k, 4), k, camera) for k in range(10) for camera in "ab"]
    out = one_by_one(sparing(network), packets)
    assert network.calls == [4] * 10  # five young frames of each camera
    late = packet(walkers(10, 4), 10, "c")
    stage = sparing(networks(-1))
    (*_, alone) = one_by_one(stage, [*packets, late])
    assert lengths(out[-1]) == [0] * 4
    assert lengths(alone) == pytest.approx([1] * 4)
    assert stage.counts() == {"detections": 84, "looked at": 44}


def test_a_blind_frame_forgets_nothing(networks: Any) -> None:
    network = networks(-1)
    packets = [packet(walkers(k, 4), k) for k in range(12)]
    packets[8] = packet([], 8).marked(Status.BLIND, "gone")
    out = one_by_one(sparing(network), packets)
    assert network.calls == [4] * 5
    assert out[8].payload.embeddings is None
    assert lengths(out[9]) == [0] * 4


CONFIG = """
cameras:
  - {id: a, uri: "rendered:crowd?seconds=0.4&size=320x180"}
  - {id: b, uri: "rendered:day?seconds=0.36&size=320x180"}
engines:
  cpu0: {backend: onnxruntime, device: cpu, threads: 1}
stages:
  detect: {model: street-pico}
  embed: {model: reid-pico, refresh_s: 0.2}
"""


class Kept(Sink[Detected]):
    """Keeps the embeddings of each frame."""

    consumes = Detected

    def __init__(self) -> None:
        self.frames: dict[tuple[str, int], NDArray[np.float32]] = {}

    def write(self, packet: Packet[Detected]) -> None:
        assert packet.payload.embeddings is not None
        self.frames[packet.frame.camera, packet.frame.index] = packet.payload.embeddings


def embedded(*overrides: str) -> dict[tuple[str, int], NDArray[np.float32]]:
    """The embeddings of each frame, from a run with threads."""
    kept = Kept()
    graph = pipeline.build(pipeline.loads(CONFIG, overrides=overrides)).leading_to("embed")
    pipeline.run(graph.with_node(Node("kept", Kept, lambda run: kept, ("embed",))))
    return kept.frames


@pytest.mark.parametrize("when", ["needed", "always"])
def test_neither_workers_nor_batches_change_a_bit(when: str) -> None:
    batch = "stages.embed.batch={max: 8, wait_ms: 20}"
    runs = [
        embedded(f"stages.embed.when={when}", *others)
        for others in (["stages.embed.workers=1"], ["stages.embed.workers=2", batch])
    ]
    for frames in runs:
        assert len(frames) == 19
        assert all(found.tobytes() == runs[0][key].tobytes() for key, found in frames.items())
    looked_at = [found.any(axis=1).mean() for found in runs[0].values()]
    assert (min(looked_at) < 0.5) == (when == "needed")


@pytest.mark.parametrize(
    ("override", "per_camera"),
    [("stages.embed.when=needed", True), ("stages.embed.when=always", False)],
)
def test_only_where_it_keeps_state_each_camera_has_one_worker(
    override: str, per_camera: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    node = pipeline.build(pipeline.loads(CONFIG, overrides=[override])).node("embed")
    assert node.stage.per_camera is per_camera
    assert node.workers == (2 if per_camera else 8)


@pytest.mark.assets
@pytest.mark.parametrize(
    ("model", "weights", "dim"),
    [
        ("osnet-x0-25", "osnet_x0_25_msmt17.onnx", 512),
        ("reid-retail-0248", "person-reidentification-retail-0248.onnx", 256),
    ],
)
def test_real_networks_on_real_people(
    model: str, weights: str, dim: int, assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_ASSETS", str(assets))
    overrides = [
        "cameras[0].end_s=0.5",
        f"stages.embed={{model: {model}, weights: '{assets}/models/reid/{weights}'}}",
    ]
    acceptance = shipped("configs") / "acceptance" / "yolox_nano_tud.yaml"
    graph = pipeline.build(pipeline.load(acceptance, overrides)).leading_to("embed")
    with run_serially(graph) as steps:
        payloads = [one.payload for step in steps for one in step["embed"]]
    embedded = np.concatenate([payload.embeddings for payload in payloads])
    scores = np.concatenate([payload.detections.scores for payload in payloads])
    length = np.linalg.norm(embedded, axis=1)
    looked = length > 0
    assert embedded.shape[1] == dim
    assert length[looked] == pytest.approx(1, abs=1e-5)
    assert scores[looked].min() >= 0.6
    assert 0.1 < looked[scores >= 0.6].mean() < 0.8


@pytest.mark.parametrize("most", [1, 4])
def test_under_overload_nobody_looks_at_what_cameras_see(
    networks: Callable[[int], CountingNetwork], most: int
) -> None:
    clock = ManualClock()
    governor = Governor(0.5, clock)
    for sequence in range(0, 400, 2):  # every second frame was dropped
        governor.admit(due(packet([], sequence), clock))
        clock.advance(0.05)
    assert governor.report().level == "no_reid"  # type: ignore[union-attr]
    network = networks(-1)
    stage = SparingEmbedStage(network, preprocessor(), DIM, 0.0, 1.0, governor)
    packets = [due(packet(walkers(0, 3)), clock), packet(walkers(0, 2), 0, "file")]
    camera, file = together(stage, packets, most)
    assert camera.payload.embeddings is None
    assert camera.status is Status.OK
    assert len(lengths(file)) == 2
    assert sum(network.calls) == 2


def due(one: Packet[Detected], clock: ManualClock) -> Packet[Detected]:
    """The packet as of a camera whose results must be fresh."""
    one.ticket.deadline_ns = clock.now_ns() + 500_000_000
    return one
