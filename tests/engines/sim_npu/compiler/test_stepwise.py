"""A network node by node gives what it gives whole."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.sim_npu.compiler.reference import Reference
from engines.sim_npu.compiler.stepwise import Stepwise
from tests.engines.sim_npu.compiler import drawn


@settings(max_examples=15)
@given(drawn.models(), st.data())
def test_a_change_goes_to_where_the_whole_network_takes_it(
    model: onnx.ModelProto, data: st.DataObject
) -> None:
    network, image = Stepwise.of(model), drawn.image()
    made = [name for step in network.steps for name in step.node.output]
    values = image | Reference(model, made).run(image)
    other = drawn.image(1)
    expected = Reference(model, made).run(other)
    found = network.run(values, other)
    for name in made:
        np.testing.assert_array_equal(found[name], expected[name])
    place = data.draw(st.sampled_from(made))
    found = network.run(values, {place: expected[place]})
    assert place in found
    (output,) = (value.name for value in model.graph.output)
    np.testing.assert_array_equal(
        network.run(values, {place: values[place]})[output], values[output]
    )


def test_between_two_tensors() -> None:
    drawing = drawn.Drawing(0)
    drawing.conv()
    start = drawing.last
    drawing.skip()
    drawing.relu()
    network = Stepwise.of(drawing.model())
    steps = network.between([start], [drawing.last]).steps
    assert [step.node.op_type for step in steps] == ["Conv", "Add", "Relu"]
    assert network.between([start], [start]).steps == ()
