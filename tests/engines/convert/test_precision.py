"""What is quantised stays so, is called so, or is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import engines
from engines import Network, ProgramError
from engines.convert import convert, targets
from engines.convert.precision import told_precision
from tests.engines.subjects import small_network

FLOAT = TensorProto.FLOAT


def quantised(folder: Path, inputs: bool = True) -> Network:
    """x → 3x3 convolution → y, its weights in int8, and its input too where that is wanted."""
    rng = np.random.default_rng(0)
    constants = {
        "w8": rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
        "scale": np.array(0.02, np.float32),
        "zero": np.array(0, np.int8),
    }
    nodes = [helper.make_node("DequantizeLinear", ["w8", "scale", "zero"], ["w"])]
    if inputs:
        nodes += [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["x8"]),
            helper.make_node("DequantizeLinear", ["x8", "scale", "zero"], ["rounded"]),
        ]
    nodes.append(helper.make_node("Conv", ["rounded" if inputs else "x", "w"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "quantised",
        [helper.make_tensor_value_info("x", FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", FLOAT, [1, 4, 6, 6])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    path = folder / "quantised.onnx"
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return Network(path, "onnx")


def outputs(network: Network, backend: str, image: np.ndarray) -> dict[str, np.ndarray]:
    with engines.create("e0", backend) as engine:
        engine.init()
        engine.prepare(network)
        engine.set_tensor(engine.inputs[0].name, image)
        engine.forward()
        assert engine.report()["precision"] == "int8"
        return {spec.name: engine.get_tensor(spec.name) for spec in engine.outputs}


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("inputs", [True, False])
def test_a_file_tells_that_it_is_quantised(tmp_path: Path, inputs: bool) -> None:
    assert told_precision(quantised(tmp_path, inputs).path, "onnx") == "int8"
    assert told_precision(small_network(tmp_path).path, "onnx") == "fp32"


@pytest.mark.parametrize("target", targets("onnx"))
@pytest.mark.parametrize("said", ["", "fp32", "int8"])
def test_int8_does_not_become_fp32(tmp_path: Path, target: str, said: str) -> None:
    source = quantised(tmp_path)
    source = Network(source.path, "onnx", precision=said)
    with pytest.raises(ProgramError, match=rf"stored in int8 .*{target} can have it in int8, not"):
        convert(source, target, tmp_path, "fp32")
    assert list(tmp_path.iterdir()) == [source.path]


@pytest.mark.parametrize("target", ["torchscript", "ncnn", "mnn", "tflite", "tvm"])
def test_what_has_no_int8_says_so(tmp_path: Path, target: str) -> None:
    pytest.importorskip("torch")
    source = quantised(tmp_path)
    with pytest.raises(ProgramError, match=r"not (to )?int8|QuantizeLinear"):
        convert(source, target, tmp_path, "int8")
    assert list(tmp_path.iterdir()) == [source.path]


def test_openvino_keeps_it_in_int8(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    source = quantised(tmp_path)
    made = convert(source, "openvino", tmp_path, "int8")
    assert made.precision == "int8"
    image = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)
    expected = outputs(Network(source.path, "onnx", precision="int8"), "onnxruntime", image)
    assert relative(outputs(made, "openvino", image)["y"], expected["y"]) < 1e-5


@pytest.mark.assets
def test_openvino_runs_a_real_quantised_network(assets: Path, tmp_path: Path) -> None:
    """Its outputs are quantised: another rounding on the way shows as a whole step of them."""
    pytest.importorskip("openvino")
    path = assets / "models/d2go/d2go_frcnn_stage2_int8qdq.onnx"
    source = Network(path, "onnx", precision="int8")
    made = convert(source, "openvino", tmp_path, "int8")
    features = np.random.default_rng(0).uniform(0, 1, (4, 112, 6, 6)).astype(np.float32)
    found = outputs(made, "openvino", features)
    unconverted = outputs(source, "openvino", features)
    expected = outputs(source, "onnxruntime", features)
    for name, array in found.items():
        np.testing.assert_array_equal(array, unconverted[name])
        assert np.corrcoef(array.ravel(), expected[name].ravel())[0, 1] > 0.99
