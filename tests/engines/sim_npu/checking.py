"""The fast runtime against the slow reference, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from engines.sim_npu.artefact import Artefact, Segment
from engines.sim_npu.runtime.program import DeviceProgram
from tests.engines.sim_npu import reference

Stored = dict[str, NDArray[np.int8]]


def watched(artefact: Artefact, segment: Segment, threads: int = 1) -> DeviceProgram:
    """The segment's program, giving all that its layers make."""
    made = tuple(layer.output for layer in segment.layers)
    return DeviceProgram(artefact, replace(segment, outputs=made), threads)


def assert_as_reference(
    artefact: Artefact, segment: Segment, known: Mapping[str, NDArray[np.int8]], most: int
) -> int:
    """Each layer is what the reference makes of the same inputs.

    Args:
        artefact: that the segment is of.
        segment: on the device.
        known: its inputs, and all that the runtime made of them.
        most: numbers of each tensor to compare; of a larger one these, at random.

    Returns:
        How many numbers were compared.
    """
    rng, compared = np.random.default_rng(0), 0
    for layer in segment.layers:
        shape = artefact.tensors[layer.output].shape
        numbers = np.arange(prod(shape))
        if len(numbers) > most:
            numbers = rng.choice(len(numbers), most, replace=False)
        places = np.stack(np.unravel_index(numbers, shape), axis=1).tolist()
        inputs = [known[name] for name in layer.inputs]
        expected = reference.some(layer, artefact.tensors, artefact.rounding, inputs, places)
        found = known[layer.output].reshape(-1)[numbers]
        np.testing.assert_array_equal(found, expected, f"{layer.operator} {layer.name}")
        compared += len(numbers)
    return compared
