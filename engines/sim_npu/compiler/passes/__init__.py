"""Graph passes: each rewrites an ONNX model in place and leaves what it computes as it was.

They run in the order of `PASSES`. Every one says how many nodes there were before and after it, and
how far the outputs moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engines.convert import graph as onnx_graph
from engines.program import Tensors
from engines.sim_npu.compiler.passes.activations import fuse_activations
from engines.sim_npu.compiler.passes.affine import fold_affine
from engines.sim_npu.compiler.passes.constants import fold_constants
from engines.sim_npu.compiler.passes.dead import drop_dead
from engines.sim_npu.compiler.passes.focus import fold_focus
from engines.sim_npu.compiler.passes.gemm import fuse_gemm
from engines.sim_npu.compiler.passes.general import replace_general
from engines.sim_npu.compiler.passes.layout import settle_layout
from engines.sim_npu.compiler.passes.padding import fold_padding
from engines.sim_npu.compiler.passes.scale import fold_scale
from engines.sim_npu.compiler.reference import Reference, difference

Pass = Callable[[Any], None]

PASSES: tuple[Pass, ...] = (
    fold_constants,
    drop_dead,
    replace_general,
    fold_padding,
    fold_focus,
    fold_affine,
    fold_scale,
    fuse_gemm,
    fuse_activations,
    settle_layout,
)


@dataclass(frozen=True, slots=True)
class PassReport:
    """What one pass did.

    Attributes:
        name: of the pass.
        nodes_before: of the graph.
        nodes_after: of the graph.
        max_difference: of any output to what the model gave before the first pass, as a part of
            the largest magnitude in that output.
    """

    name: str
    nodes_before: int
    nodes_after: int
    max_difference: float


def run(model: Any, feeds: Tensors) -> list[PassReport]:
    """Runs all passes on a model, in place, and compares after each.

    Args:
        model: an `onnx.ModelProto` whose shapes are inferred (`engines.convert.graph.pin`).
        feeds: its inputs, by name.
    """
    expected = Reference(model).run(feeds)
    reports = []
    for change in PASSES:
        before = len(model.graph.node)
        change(model)
        onnx_graph.pin(model, ())
        found = Reference(model).run(feeds)
        apart = max(difference(found[name], expected[name]) for name in expected)
        reports.append(PassReport(change.__name__, before, len(model.graph.node), apart))
    return reports
