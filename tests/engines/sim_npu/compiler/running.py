"""A compiled network from end to end, on the device's arithmetic and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from engines.program import Tensors
from engines.sim_npu.artefact import Artefact, Segment
from engines.sim_npu.compiler import grid
from engines.sim_npu.compiler.reference import Reference
from tests.engines.sim_npu.checking import Stored, watched


def run(artefact: Artefact, feeds: Tensors) -> Tensors:
    """All tensors between segments, in float32: what a framework does around the device."""
    known = dict(feeds)
    for _ in through(artefact, known):
        pass
    return known


def through(artefact: Artefact, known: Tensors) -> Iterator[tuple[Segment, Stored, Stored]]:
    """Each device segment with what went in and all it made; adds to `known` as `run` gives it."""
    tensors = artefact.tensors
    for segment in artefact.segments:
        read = {name: known[name] for name in segment.inputs}
        if not segment.on_device:
            known |= Reference(onnx.load_from_string(segment.network)).run(read)
            continue
        stored = {name: grid.quantise(array, tensors[name]) for name, array in read.items()}
        made = watched(artefact, segment).run(stored)
        for name in segment.outputs:
            steps = made[name].astype(np.int64) - tensors[name].zero_point
            known[name] = (steps * tensors[name].scale).astype(np.float32)
        yield segment, stored, made
