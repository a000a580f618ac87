"""NanoDet: distances to the four sides as distributions.

Li et al., "Generalized Focal Loss", arXiv:2006.04388, eq. 3 to 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.activations import softmax
from pipeline.detection.detections import Detections
from pipeline.detection.heads.base import (
    OnnxHead,
    Outputs,
    Shapes,
    best_class,
    expect_axis,
    named,
)
from pipeline.detection.heads.grid import cell_count, cells

if TYPE_CHECKING:
    from pipeline.kernels.onnx_graph import OnnxGraph


class NanodetHead(OnnxHead):
    """Class scores (1, N, C), sigmoid applied, and side distributions (1, N, 4 (reg_max + 1)).

    The distance to a side is the expectation of its distribution times the stride; it is counted
    from ((gx + offset) s, (gy + offset) s). Either `classes` and `distances` name one output a
    stride, or the network has one output with both, class scores first.
    """

    family: Literal["nanodet"]
    strides: tuple[int, ...] = (8, 16, 32)
    reg_max: int = 7
    offset: float = 0.5
    classes: tuple[str, ...] = ()
    distances: tuple[str, ...] = ()

    def decode(self, outputs: Outputs, width: int, height: int, min_score: float) -> Detections:
        class_scores, distributions = self._split(outputs)
        (good,) = np.nonzero(class_scores.max(axis=1) >= min_score)
        scores, labels = best_class(class_scores[good])
        grid, stride = cells(width, height, self.strides)
        scale = stride[good]
        centres = (grid[good] + np.float32(self.offset)) * scale
        bins = np.arange(self.reg_max + 1, dtype=np.float32)
        sides = softmax(distributions[good].reshape(-1, 4, self.reg_max + 1)) @ bins * scale
        boxes = np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], axis=1)
        return Detections(boxes, scores, labels)

    def decode_onnx(
        self, graph: OnnxGraph, shapes: Shapes, width: int, height: int
    ) -> tuple[str, str]:
        classes, distributions = self._split_onnx(graph, shapes)
        grid, stride = cells(width, height, self.strides)
        centres = (grid + np.float32(self.offset)) * stride
        bins = np.arange(self.reg_max + 1, dtype=np.float32)[:, None]
        sides = graph.node("Reshape", distributions, [1, len(grid), 4, self.reg_max + 1])
        sides = graph.node("MatMul", graph.node("Softmax", sides, axis=3), bins)
        sides = graph.node("Mul", graph.node("Reshape", sides, [1, len(grid), 4]), stride)
        low = graph.node("Sub", centres, graph.part(sides, 2, 0, 2))
        high = graph.node("Add", centres, graph.part(sides, 2, 2, 4))
        return graph.node("Concat", low, high, axis=2), classes

    def check(self, shapes: Shapes, classes: int, width: int, height: int) -> None:
        sides = 4 * (self.reg_max + 1)
        if not self.classes:
            shape = self.only(shapes)
            expect_axis(shape, 2, classes + sides, f"{classes} labels and {sides} bins")
            if min(width, height) > 0:
                rows = cell_count(width, height, self.strides)
                expect_axis(shape, 1, rows, f"cells of a {width}x{height} input")
            return
        if not len(self.classes) == len(self.distances) == len(self.strides):
            raise ValueError("head nanodet names one class and one distance output a stride")
        for name in self.classes:
            expect_axis(named(shapes, name), 2, classes, f"{classes} labels")
        for name in self.distances:
            expect_axis(named(shapes, name), 2, sides, f"4 sides of {self.reg_max + 1} bins")

    def _split(self, outputs: Outputs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if not self.classes:
            rows = self.only(outputs)[0]
            split = rows.shape[1] - 4 * (self.reg_max + 1)
            return rows[:, :split], rows[:, split:]
        return (
            np.concatenate([named(outputs, name)[0] for name in self.classes]),
            np.concatenate([named(outputs, name)[0] for name in self.distances]),
        )

    def _split_onnx(self, graph: OnnxGraph, shapes: Shapes) -> tuple[str, str]:
        if not self.classes:
            rows = self.only_name(shapes)
            columns = shapes[rows][2]
            split = columns - 4 * (self.reg_max + 1)
            return graph.part(rows, 2, 0, split), graph.part(rows, 2, split, columns)
        return (
            graph.node("Concat", *self.classes, axis=1),
            graph.node("Concat", *self.distances, axis=1),
        )
