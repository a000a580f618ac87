"""ONNX to TorchScript and back, against ONNX Runtime."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import engines
from engines import Network, ProgramError, TensorSpec
from engines.convert import convert
from engines.torch import TorchEngine
from pipeline.models.package import load_model
from tests.engines.subjects import expected_features, picture, small_network

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 4, 6, 8)).astype(np.float32)
#: Of the assets → the shape of an input that runs.
REAL = {
    "yolox_nano/yolox_nano_opencv_zoo.onnx": (1, 3, 416, 416),
    "nanodet_m/nanodet_m_416.onnx": (1, 3, 416, 416),
    "fastestdet/FastestDet.onnx": (1, 3, 352, 352),
    "reid/osnet_x0_25_msmt17.onnx": (1, 3, 256, 128),
    "reid/person-reidentification-retail-0248.onnx": (1, 256, 128, 3),
    "d2go/d2go_frcnn_stage1_fp32.onnx": (1, 3, 320, 416),
    "d2go/d2go_frcnn_stage2_fp32.onnx": (3, 112, 6, 6),
}


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def save(
    path: Path, kind: str, attributes: dict[str, Any], others: list[np.ndarray | None], opset: int
) -> Network:
    """A network of one node, from ``x`` and constants to ``y``."""
    names = ["" if value is None else f"c{n}" for n, value in enumerate(others)]
    constants = {n: v for n, v in zip(names, others, strict=True) if v is not None}
    parts = attributes.pop("parts", 1)
    outputs = [f"y{n}" for n in range(parts)]
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", *names], outputs, **attributes)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return Network(path, "onnx")


def by_onnxruntime(path: Path, **inputs: np.ndarray) -> list[np.ndarray]:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    found: list[np.ndarray] = onnxruntime.InferenceSession(path, settings).run(None, inputs)
    return found


def by(backend: str, network: Network, **inputs: np.ndarray) -> list[np.ndarray]:
    with engines.create("e", backend) as engine:
        engine.init()
        engine.prepare(network)
        for name, array in inputs.items():
            engine.set_tensor(name, array)
        engine.forward()
        return [engine.get_tensor(spec.name) for spec in engine.outputs]


Node = tuple[str, dict[str, Any], list[np.ndarray | None], int]
FLOOR = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
CORNERS = {"coordinate_transformation_mode": "align_corners", "mode": "linear"}
NODES: list[Node] = [
    ("Conv", {"pads": [1, 1, 1, 1], "strides": [2, 1]}, [numbers(5, 4, 3, 3), numbers(5)], 13),
    ("Conv", {"pads": [0, 1, 2, 1], "dilations": [2, 1]}, [numbers(5, 4, 3, 3)], 13),
    ("Conv", {"group": 4}, [numbers(8, 1, 3, 3)], 13),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, [], 13),
    ("MaxPool", {"kernel_shape": [2, 3], "pads": [0, 0, 1, 2]}, [], 13),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, [], 13),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, [], 13),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}, [], 13),
    ("GlobalAveragePool", {}, [], 13),
    ("BatchNormalization", {}, [numbers(4), numbers(4), numbers(4), abs(numbers(4))], 14),
    ("Resize", {"mode": "nearest"}, [None, floats(1, 1, 2, 3)], 13),
    ("Resize", FLOOR, [None, floats(1, 1, 0.5, 1.5)], 13),
    ("Resize", {"mode": "linear"}, [None, floats(1, 1, 2, 0.5)], 13),
    ("Resize", CORNERS, [None, None, ints(2, 4, 9, 5)], 13),
    ("Reshape", {}, [ints(0, -1, 4)], 13),
    ("Expand", {}, [ints(3, 1, 1, 1, 1)], 13),
    ("Flatten", {}, [], 13),
    ("Flatten", {"axis": 2}, [], 13),
    ("Transpose", {"perm": [0, 2, 3, 1]}, [], 13),
    ("Transpose", {}, [], 13),
    ("Concat", {"axis": -1}, [numbers(2, 4, 6, 3)], 13),
    ("Slice", {}, [ints(1, -5), ints(100, -1), ints(1, 3), ints(1, 2)], 13),
    ("Slice", {"starts": [1], "ends": [3]}, [], 9),
    ("Split", {"axis": 1, "split": [1, 3], "parts": 2}, [], 11),
    ("Split", {"axis": 1, "parts": 2}, [ints(3, 1)], 13),
    ("Split", {"axis": 1, "parts": 2}, [], 13),
    ("Gather", {"axis": 2}, [np.array([[0, -1], [3, 2]])], 13),
    ("Gather", {}, [np.array(1)], 13),
    ("Unsqueeze", {}, [ints(0, -1)], 13),
    ("Unsqueeze", {"axes": [1]}, [], 11),
    ("Pad", {}, [ints(0, 1, 2, 0, 0, 0, 1, 3), np.float32(7)], 13),
    ("Pad", {"mode": "reflect"}, [ints(0, 0, 2, 1, 0, 0, 1, 3)], 13),
    ("Pad", {"mode": "edge", "pads": [0, 0, 1, 0, 0, 0, 0, 2]}, [], 9),
    ("MatMul", {}, [numbers(8, 5)], 13),
    ("Softmax", {}, [], 13),
    ("Softmax", {"axis": 2}, [], 11),
    ("Clip", {}, [np.float32(-0.5), np.float32(0.25)], 13),
    ("Clip", {}, [None, np.float32(0.25)], 13),
    ("Clip", {"min": -0.5}, [], 9),
    ("Cast", {"to": TensorProto.INT32}, [], 13),
    ("ReduceMean", {"axes": [2, 3], "keepdims": 0}, [], 13),
    ("ReduceMean", {}, [ints(-1)], 18),
    ("ReduceSum", {}, [ints(1, 2)], 13),
    ("ReduceMax", {"axes": [1]}, [], 13),
    ("ReduceL2", {"axes": [1]}, [], 13),
    ("Shape", {}, [], 13),
    ("LeakyRelu", {"alpha": 0.2}, [], 13),
    ("HardSigmoid", {"alpha": 0.3}, [], 13),
    *((kind, {}, [], 14) for kind in ("HardSwish", "Relu", "Sigmoid", "Tanh", "Exp", "Abs", "Neg")),
    *((kind, {}, [numbers(6, 1)], 13) for kind in ("Add", "Sub", "Mul", "Div")),
    ("Identity", {}, [], 13),
]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node[0])
def test_every_operator_as_onnxruntime_has_it(tmp_path: Path, node: Node) -> None:
    kind, attributes, others, opset = node
    source = save(tmp_path / "one.onnx", kind, dict(attributes), others, opset)
    expected = by_onnxruntime(source.path, x=X)
    found = by("torch", convert(source, "torchscript", tmp_path), x=X)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_gemm(tmp_path: Path) -> None:
    matrix = helper.make_tensor_value_info("x", TensorProto.FLOAT, (3, 4))
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, (4, 5))
    names = {"b": numbers(5, 3), "c": numbers(5)}
    node = helper.make_node("Gemm", ["x", "b", "c"], ["y"], transA=1, transB=1, alpha=0.5, beta=2.0)
    constants = [numpy_helper.from_array(value, name) for name, value in names.items()]
    graph = helper.make_graph([node], "one", [matrix], [out], constants)
    path = tmp_path / "one.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    x = numbers(3, 4)
    made = convert(Network(path, "onnx"), "torchscript", tmp_path)
    np.testing.assert_allclose(
        by("torch", made, x=x)[0], 0.5 * x.T @ names["b"].T + 2 * names["c"], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("kind", "attributes", "others", "told"),
    [
        ("Erf", {}, [], r"one\.onnx: torch conversion has no operator Erf"),
        ("Resize", {"mode": "cubic"}, [None, floats(1, 1, 2, 2)], "Resize y0: Resize with mode cu"),
        ("Slice", {}, [ints(5), ints(0), ints(3), ints(-1)], "Slice y0: Slice with step -1"),
        ("MaxPool", {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}, [], "auto_pad SAME_UPPER"),
    ],
)
def test_what_it_does_not_have_is_named(
    tmp_path: Path,
    kind: str,
    attributes: dict[str, Any],
    others: list[np.ndarray | None],
    told: str,
) -> None:
    source = save(tmp_path / "one.onnx", kind, dict(attributes), others, 13)
    with pytest.raises(ProgramError, match=told):
        convert(source, "torchscript", tmp_path)


def test_a_precision_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"stored in fp32.*keeps it; got fp16"):
        convert(small_network(tmp_path), "torchscript", tmp_path, "fp16")


def assert_near(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert np.abs(ours - theirs).max() <= TorchEngine.tolerance * np.abs(theirs).max()


@pytest.mark.parametrize("name", ["street-pico", "reid-pico"])
def test_a_shipped_network_takes_any_batch(name: str, tmp_path: Path) -> None:
    source = load_model(name).program
    assert isinstance(source, Network)
    made = convert(source, "torchscript", tmp_path)
    (spec,) = made.inputs
    for batch in (1, 3):
        images = RNG.uniform(0, 255, (batch, *spec.shape[1:])).astype(np.float32)
        feed = {spec.name: images}
        assert_near(by("torch", made, **feed), by_onnxruntime(source.path, **feed))


@pytest.mark.assets
@pytest.mark.parametrize("name", REAL)
def test_real_networks(name: str, assets: Path, tmp_path: Path) -> None:
    source = Network(assets / "models" / name, "onnx")
    made = convert(source, "torchscript", tmp_path)
    feed = {made.inputs[0].name: RNG.uniform(0, 255, REAL[name]).astype(np.float32)}
    assert_near(by("torch", made, **feed), by_onnxruntime(source.path, **feed))


@pytest.fixture
def exported(tmp_path: Path) -> Network:
    """Rectified twice the input, of any batch, as a torch.export program."""

    class Twice(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return (x * 2).relu()

    path = tmp_path / "twice.pt2"
    batch = torch.export.Dim("batch", min=1, max=8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(Twice(), (torch.zeros(2, 4),), dynamic_shapes=({0: batch},))
        torch.export.save(program, str(path))
    lines = tuple(TensorSpec(name, (-1, 4), np.dtype("float32")) for name in ("lines", "doubled"))
    return Network(path, "torch-export", lines[:1], lines[1:])


def test_an_exported_program_to_onnx(exported: Network, tmp_path: Path) -> None:
    made = convert(exported, "onnx", tmp_path)
    assert made.format == "onnx"
    lines = numbers(3, 4)
    found = by("onnxruntime", made, lines=lines)
    np.testing.assert_array_equal(found[0], np.maximum(2 * lines, 0))


def test_torchscript_to_onnx(tmp_path: Path) -> None:
    source = small_network(tmp_path / "source", batch=-1)
    script = convert(source, "torchscript", tmp_path)
    made = convert(script, "onnx", tmp_path)
    found = by("onnxruntime", made, image=picture(batch=3))
    np.testing.assert_allclose(found[0], expected_features(picture(batch=3)), atol=1e-5)


def test_torch_programs_must_be_declared(exported: Network, tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="needs the inputs and outputs declared"):
        convert(replace(exported, inputs=()), "onnx", tmp_path)


def test_a_file_that_is_no_program(exported: Network, tmp_path: Path) -> None:
    exported.path.write_bytes(b"nothing" * 100)
    for kind in ("torchscript", "torch-export"):
        with pytest.raises(ProgramError, match=r"twice\.pt2: torch cannot export it"):
            convert(replace(exported, format=kind), "onnx", tmp_path)
