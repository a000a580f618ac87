"""A Faster R-CNN with a feature pyramid finds the same as one network and in stages.

The network has the form of the ONNX model zoo's FasterRCNN-12: one picture [3, H, W] of BGR less a
mean, no batch axis; five levels that propose, four that are pooled from, by size; boxes in input
pixels, labels counted from 1, suppressed inside. It is small, and its weights are drawn.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import compose, helper, numpy_helper

import pipeline
from engines.tensor import TensorSpec
from pipeline.detection.anchors import Anchors
from pipeline.detection.proposals import ProposalSpec
from pipeline.detection.pyramid import Pooling
from pipeline.detection.roi_head import RoiHeadSpec
from pipeline.kernels.onnx_graph import OnnxGraph
from pipeline.kernels.pooling import pooling
from pipeline.kernels.proposals import proposals
from pipeline.kernels.roi_objects import roi_objects
from pipeline.serial import Step, run_serially

WIDTH, HEIGHT, CHANNELS, BINS = 768, 512, 8, 7
LABELS = ("person", "bicycle", "car", "van")
STRIDES = (4, 8, 16, 32, 64)
LEVELS = range(len(STRIDES))
PROPOSALS = ProposalSpec(
    tuple(Anchors((8.0 * stride,), (0.5, 1, 2), stride) for stride in STRIDES),
    candidates=60,  # so that the finest level does not take all places
    keep=200,
)
POOLINGS = {
    "align": Pooling(BINS, BINS, STRIDES[:4], sampling=2),
    "pool": Pooling(BINS, BINS, STRIDES[:4], "pool"),
}
HEAD = RoiHeadSpec(background="first", score=0.3, keep=300)
PREPROCESS = {
    "size": [WIDTH, HEIGHT],
    "resize": "letterbox",
    "color": "bgr",
    "mean": [102.9801, 115.9465, 122.7717],
}


@dataclass
class Weights:
    """Drawn, the same in every run."""

    random: np.random.Generator

    def __call__(self, *shape: int, gain: float = 2.0) -> np.ndarray:
        """Of a layer whose outputs are about as large as its inputs."""
        deviation = (gain / np.prod(shape[1:])) ** 0.5
        return self.random.normal(0, deviation, shape).astype(np.float32)


def backbone() -> onnx.ModelProto:
    """image (1, 3, H, W) → p0 … p3 (1, C, h, w), and objectness and deltas of all five levels."""
    graph, weights = OnnxGraph("backbone"), Weights(np.random.default_rng(0))
    # Grey levels become numbers near 1.
    stem = conv(graph, graph.node("Mul", "image", 1 / 64), weights(CHANNELS, 3, 3, 3), 2)
    bottom_up = [graph.node("Relu", stem)]
    for _ in range(4):
        step = conv(graph, bottom_up[-1], weights(CHANNELS, CHANNELS, 3, 3), 2)
        bottom_up.append(graph.node("Relu", step))
    lateral = [conv(graph, x, weights(CHANNELS, CHANNELS, 1, 1)) for x in bottom_up[1:]]
    merged = [lateral[3]]
    for finer in reversed(lateral[:3]):
        larger = graph.node("Resize", merged[0], "", [1.0, 1.0, 2.0, 2.0], mode="nearest")
        merged.insert(0, graph.node("Add", finer, larger))
    smooth = weights(CHANNELS, CHANNELS, 3, 3)
    maps = [conv(graph, x, smooth, output=f"p{i}") for i, x in enumerate(merged)]
    maps.append(graph.node("MaxPool", maps[3], kernel_shape=[1, 1], strides=[2, 2]))
    shared, sure = weights(CHANNELS, CHANNELS, 3, 3), weights(3, CHANNELS, 1, 1)
    moves = weights(12, CHANNELS, 1, 1, gain=0.02)
    for i, level in enumerate(maps):
        hidden = graph.node("Relu", conv(graph, level, shared))
        conv(graph, hidden, sure, output=f"objectness{i}")
        conv(graph, hidden, moves, output=f"deltas{i}")
    outputs = [spec(f"p{i}", 1, CHANNELS, -1, -1) for i in range(4)]
    outputs += [spec(f"objectness{i}", 1, 3, -1, -1) for i in LEVELS]
    outputs += [spec(f"deltas{i}", 1, 12, -1, -1) for i in LEVELS]
    return onnx.load_from_string(graph.finish([spec("image", 1, 3, -1, -1)], outputs))


def head() -> onnx.ModelProto:
    """roi_features (N, C, 7, 7) → box_deltas (N, 4 K) and cls_logits (N, K + 1)."""
    graph, weights = OnnxGraph("head"), Weights(np.random.default_rng(1))
    rows = graph.node("Flatten", "roi_features", axis=1)
    hidden = graph.node("MatMul", rows, weights(64, CHANNELS * BINS**2).T)
    hidden = graph.node("Relu", hidden)
    classes = len(LABELS)
    graph.node("MatMul", hidden, weights(4 * classes, 64).T, output="box_deltas")
    graph.node("MatMul", hidden, weights(classes + 1, 64, gain=20.0).T, output="cls_logits")
    outputs = [spec("box_deltas", -1, 4 * classes), spec("cls_logits", -1, classes + 1)]
    rois = spec("roi_features", -1, CHANNELS, BINS, BINS)
    return onnx.load_from_string(graph.finish([rois], outputs))


#: Which tensor of the whole network goes into which of its parts.
LINKS = {
    **{f"rpn.{name}{i}": f"first.{name}{i}" for name in ("objectness", "deltas") for i in LEVELS},
    **{f"pool.features{i}": f"first.p{i}" for i in range(4)},
    "pool.boxes": "rpn.boxes",
    "second.roi_features": "pool.roi_features",
    "objects.proposals": "rpn.boxes",
    "objects.box_deltas": "second.box_deltas",
    "objects.cls_logits": "second.cls_logits",
}


def whole(first: onnx.ModelProto, second: onnx.ModelProto, how: Pooling) -> onnx.ModelProto:
    """Both networks and all that lies between and behind them, in the zoo's layout."""
    maps = [(HEIGHT // stride, WIDTH // stride) for stride in STRIDES]
    between = proposals(PROPOSALS, maps, WIDTH, HEIGHT), pooling(how, CHANNELS)
    behind = roi_objects(HEAD, len(LABELS), WIDTH, HEIGHT)
    rpn, pool, objects = (onnx.load_from_string(k.onnx()) for k in (*between, behind))
    parts = {"first": first, "rpn": rpn, "pool": pool, "second": second, "objects": objects}
    nodes = [helper.make_node("Unsqueeze", ["image", "zero"], ["first.image"])]
    constants = [
        numpy_helper.from_array(np.array([n]), name) for n, name in ((0, "zero"), (1, "one"))
    ]
    for name, part in parts.items():
        named = compose.add_prefix(part, f"{name}.").graph
        given = [value.name for value in named.input if value.name in LINKS]
        nodes += [helper.make_node("Identity", [LINKS[target]], [target]) for target in given]
        nodes += named.node
        constants += named.initializer
    nodes += [
        helper.make_node("Identity", ["objects.boxes"], ["6379"]),
        helper.make_node("Cast", ["objects.labels"], ["labels"], to=onnx.TensorProto.INT64),
        helper.make_node("Add", ["labels", "one"], ["6381"]),
        helper.make_node("Identity", ["objects.scores"], ["6383"]),
    ]
    image, boxes, scores = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("image", [3, "h", "w"]), ("6379", ["n", 4]), ("6383", ["n"]))
    )
    labels = helper.make_tensor_value_info("6381", onnx.TensorProto.INT64, ["n"])
    graph = helper.make_graph(nodes, "whole", [image], [boxes, labels, scores], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def conv(graph: OnnxGraph, x: str, kernel: np.ndarray, stride: int = 1, output: str = "") -> str:
    """A convolution that keeps the size, or halves it."""
    pads = [kernel.shape[2] // 2] * 4
    return graph.node("Conv", x, kernel, strides=[stride] * 2, pads=pads, output=output)


def spec(name: str, *shape: int) -> TensorSpec:
    return TensorSpec(name, shape, np.dtype(np.float32), "nchw" if len(shape) == 4 else "")


@pytest.fixture(scope="module", params=POOLINGS)
def packages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages ``first``, ``second`` and ``whole``."""
    folder = tmp_path_factory.mktemp("models")
    first, second, how = backbone(), head(), POOLINGS[request.param]
    level = {"ratios": [0.5, 1.0, 2.0], "offset": 0.0}
    levels = [
        level
        | {"objectness": f"objectness{i}", "deltas": f"deltas{i}"}
        | {"stride": STRIDES[i], "sizes": [8.0 * STRIDES[i]]}
        | ({"features": f"p{i}"} if i < len(how.strides) else {})
        for i in LEVELS
    ]
    rpn = {"levels": levels, "candidates": PROPOSALS.candidates, "keep": PROPOSALS.keep}
    package(folder, "first", first, "nchw", {"task": "rpn", "preprocess": PREPROCESS, "rpn": rpn})
    reading = {"pooling": {"method": how.method, "sampling": how.sampling}, "background": "first"}
    package(
        folder,
        "second",
        second,
        "nchw",
        {"task": "roi_head", "labels": LABELS, "roi_head": reading},
    )
    boxes = {
        "family": "boxes",
        "boxes": "6379",
        "labels": "6381",
        "scores": "6383",
        "first_label": 1,
    }
    package(
        folder,
        "whole",
        whole(first, second, how),
        "chw",
        {"task": "detect", "labels": LABELS, "preprocess": PREPROCESS, "head": boxes},
    )
    return folder


def package(
    folder: Path, name: str, network: onnx.ModelProto, layout: str, extra: dict[str, Any]
) -> None:
    """Writes one package, its tensors read off the network."""
    content = network.SerializeToString()
    digest = hashlib.sha256(content).hexdigest()
    file = {"path": "network.onnx", "format": "onnx", "size": len(content), "sha256": digest}
    manifest = {
        "schema": 1,
        "name": name,
        "licence": "Apache-2.0",
        "source": "made by a test",
        "files": [file],
        "inputs": [tensor(value) | {"layout": layout} for value in network.graph.input],
        "outputs": [tensor(value) for value in network.graph.output],
    }
    (folder / name).mkdir()
    (folder / name / "network.onnx").write_bytes(content)
    text = json.dumps(manifest | extra)  # which is YAML
    (folder / name / "model.yaml").write_text(text, encoding="utf-8")


def tensor(value: onnx.ValueInfoProto) -> dict[str, Any]:
    kind = value.type.tensor_type
    shape = [axis.dim_value or -1 for axis in kind.shape.dim]
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    return {"name": value.name, "shape": shape, "dtype": str(dtype)}


def steps(stages: str) -> list[Step]:
    """Every step of two frames of the street."""
    text = f"""
cameras:
  - {{id: street, uri: "rendered:day?seconds=0.1"}}
engines:
  cpu0: {{backend: onnxruntime, threads: 1}}
stages:
{stages}
outputs: []
"""
    graph = pipeline.build(pipeline.loads(text)).without_sinks()
    with run_serially(graph) as run:
        return list(islice(run, 2))


@pytest.mark.parametrize("engine", ["", ", engine: cpu0"], ids=["on the host", "as kernels"])
def test_in_stages_it_finds_what_it_finds_as_a_whole(packages: Path, engine: str) -> None:
    in_stages = steps(f"""
  backbone: {{model: {packages}/first, engine: cpu0}}
  proposals: {{keep: {PROPOSALS.keep}{engine}}}
  roi_align: {{workers: 1{engine}}}
  roi_head: {{model: {packages}/second, engine: cpu0}}
  boxes: {{score: {HEAD.score}, max_detections: {HEAD.keep}{engine}}}
""")
    at_once = steps(f"""
  detect: {{model: {packages}/whole, engine: cpu0}}
  postprocess: {{score: {HEAD.score}}}
""")
    for split, one in zip(in_stages, at_once, strict=True):
        (proposed,), (found,) = split["proposals"], split["boxes"]
        used = POOLINGS["align"].levels(proposed.payload.proposals.boxes_xyxy)
        assert np.unique(used).tolist() == [0, 1, 2, 3], "every level is pooled from"
        ours, wanted = found.payload.detections, one["postprocess"][0].payload.detections
        assert len(ours) == len(wanted) > 50
        # Each has its like; in the order of equal scores the two may differ.
        distance = np.abs(ours.boxes_xyxy[:, None] - wanted.boxes_xyxy).max(axis=2)
        distance[ours.labels[:, None] != wanted.labels] = np.inf
        assert distance.min(axis=0).max() < 1e-3, "pixels"
        assert distance.min(axis=1).max() < 1e-3, "pixels"
        np.testing.assert_allclose(ours.scores, wanted.scores, atol=1e-4)


def test_the_whole_network_sees_one_picture_uncounted(packages: Path) -> None:
    step = steps(f"""
  detect: {{model: {packages}/whole, engine: cpu0}}
""")[0]
    assert step["preprocess"][0].payload.tensor.shape == (3, HEIGHT, WIDTH)
    tensors = step["detect"][0].payload.tensors
    assert {len(array) for array in tensors.values()} == {1}
    assert tensors["6381"].dtype == np.int64
    assert tensors["6381"].min() >= 1
