"""Networks for devices that compute in floats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from engines.sim_npu.compiler.compile import Choice, prepare, quantised
from engines.sim_npu.compiler.floating import in_floats
from engines.sim_npu.compiler.partition import partition
from engines.sim_npu.compiler.schedule import schedule
from engines.sim_npu.profiles import find
from engines.sim_npu.runtime.floating import FloatProgram
from tests.engines.subjects import expected_features, picture, small_network


@pytest.mark.parametrize(("name", "error"), [("hi3559a-cpu", 1e-5), ("hi3559a-mali", 2e-2)])
def test_a_segment_in_floats_computes_what_the_network_says(
    name: str, error: float, tmp_path: Path
) -> None:
    profile = find(name)
    prepared = prepare(small_network(tmp_path).path, [{"image": picture()}])
    network = quantised(prepared, Choice())
    (segment,) = partition(network).segments
    slots = schedule(segment.layers, network.tensors, profile)
    made = in_floats(segment, slots, network.model, network.tensors, profile.precision)

    program = FloatProgram(made)
    assert [str(spec) for spec in program.specs.values()] == [
        "image: float32[1, 3, 8, 10]",
        "features: float32[1, 4, 8, 10]",
        "positive: float32[1, 4, 8, 10]",
    ]
    found = program.run({"image": picture(3)})
    exact = expected_features(picture(3))
    np.testing.assert_allclose(found["features"], exact, atol=error)
    np.testing.assert_array_equal(found["positive"], np.maximum(found["features"], 0))
    assert program.cycles == sum(slot.layer.cycles for slot in slots)
    assert program.macs == 8 * 10 * 4 * 27

    half = profile.precision == "fp16"
    image, features = 240 * 4, 320 * (2 if half else 4)
    assert program.size == len(made.network) + max(image + features, 2 * features)
    types = {tensor.data_type for tensor in onnx.load_from_string(made.network).graph.initializer}
    assert types == {onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT}
