"""Segments for a device that computes in fp16 or fp32: scheduled as layers, run as a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

from engines.convert.lowering import to_fp16
from engines.sim_npu.artefact import Segment, Tensor
from engines.sim_npu.compiler.schedule import Slot
from engines.sim_npu.compiler.tiling import WEIGHTED, WIDTHS


def in_floats(
    segment: Segment,
    slots: Iterable[Slot],
    model: Any,
    tensors: Mapping[str, Tensor],
    precision: str,
) -> Segment:
    """A device segment in floats: its layers say how long it takes, its network what comes out.

    Args:
        segment: of the partition, on the device.
        slots: its schedule.
        model: an `onnx.ModelProto` in float32 that the segment is a stretch of.
        tensors: all of the segment's, for their shapes.
        precision: ``fp16``: every value is rounded to half; inputs and outputs stay float32.
    """
    from onnx.utils import Extractor

    network = Extractor(model).extract_model(segment.inputs, segment.outputs)
    content: bytes = (to_fp16(network) if precision == "fp16" else network).SerializeToString()
    width = WIDTHS[precision]
    layers = tuple(
        replace(
            slot.layer,
            attributes={
                "macs": slot.macs if slot.layer.operator in WEIGHTED else 0,
                "bytes": width * prod(tensors[slot.layer.output].shape),
            },
            constants={},
        )
        for slot in slots
    )
    return replace(segment, layers=layers, network=content)
