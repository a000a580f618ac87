"""Non-maximum suppression inside a kernel's ONNX network."""

from __future__ import annotations

from pipeline.kernels.onnx_graph import OnnxGraph

#: A score below every score there is, for boxes that do not count: 0 is one.
NOT_OFFERED = -1.0


def best(graph: OnnxGraph, boxes: str, offered: str, iou: float, limit: int) -> str:
    """Of boxes that overlap by more than `iou` the better ones; adds the output ``scores`` (K,).

    Args:
        graph: it becomes part of.
        boxes: (B, N, 4) xyxy.
        offered: scores (B, C, N), `NOT_OFFERED` or 0..1; nothing suppresses another b or c.
        iou: 0..1.
        limit: of the best scores are kept.

    Returns:
        Positions (K, 3) in `offered` of those that stay, by falling score.
    """
    picked = graph.node("NonMaxSuppression", boxes, offered, [limit], [iou], [NOT_OFFERED / 2])
    score = graph.node("GatherND", offered, picked)
    most = graph.node("Min", graph.node("Shape", score), [limit])
    _, order = graph.nodes("TopK", score, most, outputs=["scores", ""], axis=0)
    return graph.node("Gather", picked, order, axis=0)
