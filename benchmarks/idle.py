"""Networks that do nothing, so that what is around them can be measured."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
"""Width and height of an idle detector's input, pixels."""
_CELLS = (SIDE // 8) ** 2 + (SIDE // 16) ** 2 + (SIDE // 32) ** 2
_FOUND = (0, 18, 36)
"""Cells of the finest feature map (8 x 8) in which it always finds an object."""


def relays(path: Path, outputs: int) -> Path:
    """A network that hands its input ``x`` [1, 3, 8, 8] on, to each output ``y0``, ``y1`` …."""
    shape = [1, 3, 8, 8]
    names = [f"y{index}" for index in range(outputs)]
    nodes = [helper.make_node("Relu", ["x"], [name]) for name in names]
    return _save(path, nodes, {"x": shape}, dict.fromkeys(names, shape))


def silent(path: Path, inputs: dict[str, list[int]], outputs: dict[str, list[int]]) -> Path:
    """A network that takes these tensors and gives zeros in those."""
    nodes = [
        helper.make_node(
            "Constant", [], [name], value=numpy_helper.from_array(np.zeros(shape, np.float32))
        )
        for name, shape in outputs.items()
    ]
    return _save(path, nodes, inputs, outputs)


def detector(folder: Path) -> Path:
    """A model package whose network finds the same three objects in every picture."""
    folder.mkdir(exist_ok=True)
    found = np.zeros((1, _CELLS, 6), np.float32)
    found[:, _FOUND, 4:] = 0.95
    constant = helper.make_node("Constant", [], ["y"], value=numpy_helper.from_array(found))
    shape = [1, 3, SIDE, SIDE]
    path = _save(folder / "idle.onnx", [constant], {"x": shape}, {"y": list(found.shape)})
    content = path.read_bytes()
    (folder / "model.yaml").write_text(
        f"""schema: 1
name: {folder.name}
task: detect
licence: none
source: made for a benchmark
labels: [thing]
files:
  - {{path: idle.onnx, format: onnx, size: {len(content)}, sha256: {_sha256(content)}}}
inputs:
  - {{name: x, shape: {shape}, dtype: float32, layout: nchw}}
outputs:
  - {{name: y, shape: {list(found.shape)}, dtype: float32}}
preprocess: {{resize: letterbox}}
head: {{family: yolox, strides: [8, 16, 32]}}
"""
    )
    return folder


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int]],
    outputs: dict[str, list[int]],
) -> Path:
    graph = helper.make_graph(nodes, "idle", _tensors(inputs), _tensors(outputs))
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def _tensors(shapes: dict[str, list[int]]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
