"""A compiled network from end to end, on the device's arithmetic and ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx

from engines.program import Tensors
from engines.sim_npu.artefact import Artefact
from engines.sim_npu.compiler import grid
from engines.sim_npu.compiler.reference import Reference
from engines.sim_npu.runtime.program import DeviceProgram


def run(artefact: Artefact, feeds: Tensors) -> Tensors:
    """All tensors between segments, in float32: what a framework does around the device."""
    known, tensors = dict(feeds), artefact.tensors
    for segment in artefact.segments:
        read = {name: known[name] for name in segment.inputs}
        if not segment.on_device:
            known |= Reference(onnx.load_from_string(segment.network)).run(read)
            continue
        stored = {name: grid.quantise(array, tensors[name]) for name, array in read.items()}
        for name, array in DeviceProgram(artefact, segment).run(stored).items():
            steps = array.astype(np.int64) - tensors[name].zero_point
            known[name] = (steps * tensors[name].scale).astype(np.float32)
    return known
