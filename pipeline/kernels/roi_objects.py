"""roi-objects: a RoI head's outputs become objects, doubles suppressed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.program import Kernel, Tensors
from engines.tensor import TensorSpec
from pipeline.detection.roi_head import RoiHeadSpec, objects
from pipeline.kernels.deltas import decoded
from pipeline.kernels.head_decode import OUTPUTS
from pipeline.kernels.onnx_graph import OnnxGraph
from pipeline.kernels.suppression import NOT_OFFERED, best

_FLOAT = np.dtype(np.float32)


def roi_objects(spec: RoiHeadSpec, classes: int, width: int, height: int) -> Kernel:
    """Decodes each class's boxes of one picture and suppresses doubles within each class.

    Inputs, float32: ``proposals`` (N, 4) xyxy in input pixels, ``box_deltas`` (N, 4 classes) and
    ``cls_logits`` (N, classes + 1). Outputs as of `head_decode`: ``boxes`` (K, 4), ``scores`` (K,)
    and ``labels`` (K,), by falling score. The two forms differ by rounding, and in the order of
    equal scores.

    Args:
        spec: how the outputs are read.
        classes: of the head, without the background.
        width: of the network's input, pixels.
        height: of the network's input, pixels.
    """
    inputs = (
        TensorSpec("proposals", (-1, 4), _FLOAT),
        TensorSpec("box_deltas", (-1, 4 * classes), _FLOAT),
        TensorSpec("cls_logits", (-1, classes + 1), _FLOAT),
    )

    def host(tensors: Tensors) -> Tensors:
        proposals, deltas, logits = (tensors[entry.name] for entry in inputs)
        found = objects(spec, proposals, deltas, logits, width, height)
        return {"boxes": found.boxes_xyxy, "scores": found.scores, "labels": found.labels}

    def onnx() -> bytes:
        graph = OnnxGraph("roi-objects")
        wanted = np.arange(classes) if spec.wanted is None else np.array(spec.wanted, np.int64)
        # A class is what a picture is otherwise: each has boxes of its own.
        deltas = graph.node("Reshape", "box_deltas", [0, classes, 4])
        deltas = graph.node("Gather", deltas, wanted, axis=1)
        deltas = graph.node("Transpose", deltas, perm=[1, 0, 2])
        boxes, side = decoded(graph, deltas, "proposals", spec.weights, width, height)
        offered = _offered(graph, spec, wanted, side)
        picked = best(graph, boxes, offered, spec.nms_iou, spec.keep)
        graph.node("GatherND", boxes, graph.node("Gather", picked, [0, 2], axis=1), output="boxes")
        label = graph.node("Gather", wanted, graph.node("Gather", picked, 0, axis=1))
        graph.node("Cast", label, to=graph.dtype(np.int32), output="labels")
        return graph.finish(inputs, OUTPUTS)

    return Kernel("roi-objects", {"classes": classes}, inputs, OUTPUTS, host, onnx)


def _offered(graph: OnnxGraph, spec: RoiHeadSpec, wanted: NDArray[np.int64], side: str) -> str:
    """Scores (W, 1, N) of the W wanted classes; not offered are low ones and those of no area."""
    first = 1 if spec.background == "first" else 0
    shares = graph.node("Softmax", "cls_logits", axis=1)
    scores = graph.node("Transpose", graph.node("Gather", shares, wanted + first, axis=1))
    good = graph.node(
        "And", graph.node("Greater", scores, spec.score), graph.node("Greater", side, 0.0)
    )
    return graph.node("Unsqueeze", graph.node("Where", good, scores, NOT_OFFERED), [1])
