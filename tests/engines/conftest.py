"""Small networks made on the spot, and every backend that is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import engines

WEIGHT = np.linspace(-1, 1, 4 * 3 * 3 * 3, dtype=np.float32).reshape(4, 3, 3, 3)
IMAGE = engines.TensorSpec("image", (1, 3, 8, 10), np.dtype("float32"), "nchw")
FEATURES = engines.TensorSpec("features", (1, 4, 8, 10), np.dtype("float32"))
POSITIVE = engines.TensorSpec("positive", (1, 4, 8, 10), np.dtype("float32"))


def save_convolution(path: Path, batch: int | str = 1) -> Path:
    """image → 3x3 convolution → features → rectified → positive."""
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "w"], ["features"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["features"], ["positive"]),
        ],
        "convolution",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 8, 10])],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, 4, 8, 10]),
            helper.make_tensor_value_info("positive", TensorProto.FLOAT, [batch, 4, 8, 10]),
        ],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def expected_features(image: np.ndarray) -> np.ndarray:
    """The convolution written out, in float64."""
    padded = np.pad(image.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(image), 4, 8, 10))
    for y in range(3):
        for x in range(3):
            patch = padded[:, :, y : y + 8, x : x + 10]
            out += np.einsum("oc,nchw->nohw", WEIGHT[:, :, y, x].astype(np.float64), patch)
    return out


@pytest.fixture(params=[info.name for info in engines.describe() if not info.missing])
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend that is installed and loads ONNX, one after another."""
    name: str = request.param
    if "onnx" not in engines.engine_class(name).formats:
        pytest.skip(f"{name} loads no ONNX networks")
    return name


@pytest.fixture
def network(tmp_path: Path) -> engines.Network:
    """A small network with declared tensors."""
    path = save_convolution(tmp_path / "convolution.onnx")
    return engines.Network(path, "onnx", (IMAGE,), (FEATURES, POSITIVE))


@pytest.fixture
def prepared(backend: str, network: engines.Network) -> Iterator[Callable[[], engines.Engine]]:
    """Makes engines of the backend with the small network in them; destroys them afterwards."""
    made: list[engines.Engine] = []

    def make() -> engines.Engine:
        engine = engines.create(f"e{len(made)}", backend)
        made.append(engine)
        engine.init()
        engine.prepare(network)
        return engine

    yield make
    for engine in made:
        engine.destroy()
