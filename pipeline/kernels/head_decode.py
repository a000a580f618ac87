"""head-decode: a detector's outputs become its objects, doubles suppressed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engines.program import Kernel, Tensors
from engines.tensor import TensorSpec
from pipeline.detection.heads import OnnxHead
from pipeline.detection.postprocess import Postprocessor
from pipeline.kernels.onnx_graph import OnnxGraph
from pipeline.kernels.suppression import NOT_OFFERED, best

OUTPUTS = (
    TensorSpec("boxes", (-1, 4), np.dtype(np.float32)),
    TensorSpec("scores", (-1,), np.dtype(np.float32)),
    TensorSpec("labels", (-1,), np.dtype(np.int32)),
)


def head_decode(
    postprocessor: Postprocessor, outputs: Sequence[TensorSpec], width: int, height: int
) -> Kernel:
    """Decodes one picture's outputs and suppresses doubles within each class.

    Inputs: the network's outputs with a leading 1, floats as float32. Outputs, by falling score:
    ``boxes`` (K, 4) float32 xyxy in pixels of the network's input, ``scores`` (K,) float32 and
    ``labels`` (K,) int32. The two forms differ by rounding, and in the order of equal scores. What
    is no `OnnxHead`, has outputs of unknown length, or has taken our names for them, runs on the
    host only.

    Args:
        postprocessor: has the head and the limits.
        outputs: of the network.
        width: of the network's input, pixels.
        height: of the network's input, pixels.
    """
    inputs = tuple(map(_of_one, outputs))
    head = postprocessor.head

    def host(tensors: Tensors) -> Tensors:
        found = postprocessor.select(tensors, width, height)
        return {"boxes": found.boxes_xyxy, "scores": found.scores, "labels": found.labels}

    def onnx() -> bytes:
        assert isinstance(head, OnnxHead)
        graph = OnnxGraph("head-decode")
        shapes = {spec.name: spec.shape for spec in inputs}
        boxes, scores = head.decode_onnx(graph, shapes, width, height)
        _suppress(graph, postprocessor, boxes, scores)
        return graph.finish(inputs, OUTPUTS)

    known = all(-1 not in spec.shape for spec in inputs)
    # In a graph a name stands for one tensor.
    distinct = {spec.name for spec in inputs}.isdisjoint(spec.name for spec in OUTPUTS)
    in_onnx = onnx if isinstance(head, OnnxHead) and known and distinct else None
    return Kernel("head-decode", {"family": head.family}, inputs, OUTPUTS, host, in_onnx)


def _of_one(spec: TensorSpec) -> TensorSpec:
    """A network's output as it comes for one picture."""
    dtype = np.dtype(np.float32) if spec.dtype.kind == "f" else spec.dtype
    return replace(spec, shape=(1, *spec.shape[1:]), dtype=dtype, scale=None, zero_point=None)


def _suppress(graph: OnnxGraph, postprocessor: Postprocessor, boxes: str, scores: str) -> None:
    """The kernel's outputs of boxes (1, N, 4) and scores for every class (1, N, C)."""
    offered = _offered(graph, postprocessor, scores)
    picked = best(graph, boxes, offered, postprocessor.nms_iou, postprocessor.limit)
    row = graph.node("Gather", picked, 2, axis=1)
    graph.node("Gather", graph.node("Squeeze", boxes, [0]), row, axis=0, output="boxes")
    label = graph.node("Gather", picked, 1, axis=1)
    if postprocessor.wanted is not None:
        label = graph.node("Gather", postprocessor.wanted, label, axis=0)
    graph.node("Cast", label, to=graph.dtype(np.int32), output="labels")


def _offered(graph: OnnxGraph, postprocessor: Postprocessor, scores: str) -> str:
    """Scores (1, W, N) of the W wanted classes, `NOT_OFFERED` where too low or not a box's best."""
    wanted = postprocessor.wanted
    likeliest = graph.node("ArgMax", scores, axis=2)
    labels = np.arange(postprocessor.classes) if wanted is None else np.array(wanted)
    if wanted is not None:
        scores = graph.node("Gather", scores, labels, axis=2)
    good = graph.node(
        "And",
        graph.node("Equal", likeliest, labels[None, None]),
        graph.node("GreaterOrEqual", scores, postprocessor.score),
    )
    return graph.node("Transpose", graph.node("Where", good, scores, NOT_OFFERED), perm=[0, 2, 1])
