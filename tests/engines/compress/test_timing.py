"""What ONNX Runtime's profile says is traced back to the network as it is written."""

from __future__ import annotations

import numpy as np
import pytest

from engines.compress.layers import layers_of
from engines.compress.timing import seconds_by_tensor
from engines.convert import graph as onnx_graph
from tests.conftest import REPOSITORY
from tests.engines.compress.networks import LAYERS, Network
from tests.engines.sim_npu.compiler.drawn import image


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_is_found_whatever_it_is_merged_with(layer: str) -> None:
    network = Network(1)
    network.wide()
    getattr(network, layer)()
    network.relu()
    network.dense()
    model = network.model()
    found = seconds_by_tensor(model, image())
    assert {layer.output for layer in layers_of(model.graph)} <= found.keys()
    assert found.keys() <= {node.output[0] for node in model.graph.node} | {""}
    assert min(found.values()) >= 0


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("street-pico/street-pico.onnx", (1, 3, 288, 512)),
        ("reid-pico/reid-pico.onnx", (1, 3, 128, 64)),
    ],
)
def test_shipped_networks_spend_their_time_in_layers(path: str, shape: tuple[int, ...]) -> None:
    model = onnx_graph.load(REPOSITORY / "models" / path)
    (value,) = onnx_graph.inputs(model.graph)
    found = seconds_by_tensor(model, {value.name: np.zeros(shape, np.float32)})
    layers = {layer.output for layer in layers_of(model.graph)}
    assert layers <= found.keys()
    assert sum(found[name] for name in layers) > 0.5 * sum(found.values())
