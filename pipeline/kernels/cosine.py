"""cosine: how alike embeddings are, every one with every one."""

from __future__ import annotations

import numpy as np

from engines.program import Kernel, Tensors
from engines.tensor import TensorSpec
from pipeline.kernels.onnx_graph import OnnxGraph
from pipeline.tracking.cost import cosines

_FLOAT = np.dtype(np.float32)
INPUTS = (TensorSpec("a", (-1, -1), _FLOAT), TensorSpec("b", (-1, -1), _FLOAT))
OUTPUTS = (TensorSpec("cosine", (-1, -1), _FLOAT),)


def cosine() -> Kernel:
    """Cosine of the angle between embeddings ``a`` (N, D) and ``b`` (M, D), float32, of length 1.

    Output ``cosine``: (N, M) float32 in -1..1. The two forms differ by rounding, 1e-6.
    """
    return Kernel("cosine", {}, INPUTS, OUTPUTS, _host, _onnx)


def _host(tensors: Tensors) -> Tensors:
    return {"cosine": cosines(tensors["a"], tensors["b"]).astype(_FLOAT)}


def _onnx() -> bytes:
    graph = OnnxGraph("cosine")
    turned = graph.node("Transpose", "b", perm=[1, 0])
    graph.node("MatMul", "a", turned, output="cosine")
    return graph.finish(INPUTS, OUTPUTS)
