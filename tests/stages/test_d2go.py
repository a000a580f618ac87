"""D2Go as stages of the graph finds what it finds as one network."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
import pipeline
from pipeline.detection.detections import Detections
from pipeline.detection.postprocess import to_source
from pipeline.kernels.pooling import pooling
from pipeline.kernels.proposals import proposals
from pipeline.kernels.roi_objects import roi_objects
from pipeline.models.package import load_model
from pipeline.resources import shipped
from pipeline.serial import run_serially

pytestmark = pytest.mark.assets

onnx = pytest.importorskip("onnx")

ACCEPTANCE = shipped("configs") / "acceptance" / "d2go_tud.yaml"
WIDTH, HEIGHT, SCORE = 427, 320, 0.3
#: Of the feature map: each side over the stride of 16, rounded up.
ROWS, COLUMNS = 20, 27
#: Which tensor of one part goes into which of another.
LINKS = {
    "propose_objectness0": "first_objectness",
    "propose_deltas0": "first_anchor_deltas",
    "pool_features0": "first_features",
    "pool_boxes": "propose_boxes",
    "second_roi_features": "pool_roi_features",
    "objects_proposals": "propose_boxes",
    "objects_box_deltas": "second_box_deltas",
    "objects_cls_logits": "second_cls_logits",
}
OUTPUTS = ("objects_boxes", "objects_scores", "objects_labels")


def whole(assets: Path, folder: Path) -> Path:
    """Both halves and all that lies between and behind them as one ONNX network."""
    halves = assets / "models" / "d2go"
    rpn = load_model("d2go-rpn", weights=halves / "d2go_frcnn_stage1_fp32.onnx").manifest.rpn
    head = load_model("d2go-head", weights=halves / "d2go_frcnn_stage2_fp32.onnx").manifest.roi_head
    assert rpn is not None
    assert head is not None
    kernels = {
        "propose": proposals(rpn.spec, [(ROWS, COLUMNS)], WIDTH, HEIGHT),
        "pool": pooling(head.pooling_of(rpn, 6, 6), 112),
        "objects": roi_objects(head.spec(SCORE, 0.5, 100, None), 80, WIDTH, HEIGHT),
    }
    parts = {
        "first": onnx.load(halves / "d2go_frcnn_stage1_fp32.onnx"),
        "second": onnx.load(halves / "d2go_frcnn_stage2_fp32.onnx"),
    }
    for name, kernel in kernels.items():
        assert kernel.onnx is not None
        parts[name] = onnx.load_from_string(kernel.onnx())
    path = folder / "whole.onnx"
    onnx.save(joined({name: parts[name] for name in ("first", *kernels, "second")}), path)
    return path


def joined(parts: Mapping[str, Any]) -> Any:
    """One network of several, along `LINKS`."""
    helper = onnx.helper
    nodes = [helper.make_node("Identity", [source], [target]) for target, source in LINKS.items()]
    prefixed = {name: onnx.compose.add_prefix(part, f"{name}_") for name, part in parts.items()}
    for part in prefixed.values():
        nodes.extend(part.graph.node)
    values = {v.name: v for part in prefixed.values() for v in part.graph.output}
    constants = [constant for part in prefixed.values() for constant in part.graph.initializer]
    graph = helper.make_graph(
        in_order(nodes, {"first_image", *(constant.name for constant in constants)}),
        "whole",
        list(prefixed["first"].graph.input),
        [values[name] for name in OUTPUTS],
        constants,
    )
    newest = max(entry.version for part in parts.values() for entry in part.opset_import)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", newest)], ir_version=10)


def in_order(nodes: list[Any], known: set[str]) -> list[Any]:
    """The nodes, each behind those whose results it takes."""
    left, ordered = list(nodes), []
    known.add("")
    while left:
        ready = [node for node in left if known.issuperset(node.input)]
        assert ready
        ordered.extend(ready)
        known.update(name for node in ready for name in node.output)
        left = [node for node in left if not known.issuperset(node.output)]
    return ordered


def test_in_stages_it_finds_what_it_finds_as_a_whole(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_ASSETS", str(assets))
    overrides = ["stages.boxes={score: 0.3}", "cameras[0].every=20"]
    graph = pipeline.build(pipeline.load(ACCEPTANCE, overrides)).without_sinks()
    compared = 0
    with engines.create("e", "onnxruntime") as engine, run_serially(graph) as run:
        engine.init()
        engine.prepare(engines.Network(whole(assets, tmp_path), "onnx"))
        for step in islice(run, 8):
            (given,), (found,) = step["preprocess"], step["boxes"]
            engine.set_tensor("first_image", given.payload.tensor)
            engine.forward()
            boxes, scores, labels = (engine.get_tensor(name) for name in OUTPUTS)
            wanted = to_source(Detections(boxes, scores, labels), given.payload.placement)
            ours = found.payload.detections
            assert len(ours) == len(wanted) > 0
            np.testing.assert_array_equal(ours.labels, wanted.labels)
            np.testing.assert_allclose(ours.boxes_xyxy, wanted.boxes_xyxy, atol=1e-3)
            compared += len(ours)
    assert compared > 40
