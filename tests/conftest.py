"""What every test may ask for."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from hypothesis import settings
from onnx import TensorProto, helper, numpy_helper

import engines  # noqa: F401 - switches telemetry off before a test imports ONNX Runtime

# How long an example takes says nothing about the program on a busy machine. A verdict on a change
# must not depend on luck: CI tries the same examples every time, developers new ones.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if "CI" in os.environ else "default")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real models and videos; the test is skipped where it is absent."""
    folder = Path(os.environ.get("SIGHTLINE_ASSETS", REPOSITORY / "../shared/assets")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real models and videos at {folder} (set SIGHTLINE_ASSETS)")
    return folder


@pytest.fixture(scope="session")
def light_meter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that sees one box, the surer the lighter the picture; in the dark it gives NaN.

    Input images (N, 3, 32, 48); output boxes (N, 1, 4) and scores (N, 1) = sqrt(mean - 10) / 16.
    """
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Reshape", ["mean", "as_scores"], ["light"]),
        helper.make_node("Sub", ["light", "ten"], ["above"]),
        helper.make_node("Sqrt", ["above"], ["root"]),
        helper.make_node("Div", ["root", "sixteen"], ["scores"]),
        helper.make_node("Mul", ["mean", "zero"], ["none"]),
        helper.make_node("Reshape", ["none", "as_boxes"], ["nowhere"]),
        helper.make_node("Add", ["nowhere", "box"], ["boxes"]),
    ]
    constants = {
        "as_scores": np.array([-1, 1]),
        "as_boxes": np.array([-1, 1, 1]),
        "ten": np.float32(10),
        "sixteen": np.float32(16),
        "zero": np.float32(0),
        "box": np.array([[[8, 4, 40, 28]]], np.float32),
    }
    shapes = {"images": [-1, 3, 32, 48], "boxes": [-1, 1, 4], "scores": [-1, 1]}
    extra = {
        "task": "detect",
        "labels": ["light"],
        "preprocess": {"resize": "letterbox", "align": "top_left", "pad": 0, "color": "bgr"},
        "head": {"family": "boxes"},
    }
    folder = tmp_path_factory.mktemp("models") / "light-meter"
    return _package(folder, nodes, constants, ["images"], ["boxes", "scores"], shapes, extra)


@pytest.fixture(scope="session")
def mean_color(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ReID network: the mean of each channel of a crop. Input (N, 3, 16, 8), output (N, 3)."""
    nodes = [
        helper.make_node("ReduceMean", ["crops"], ["embedding"], axes=[2, 3], keepdims=0),
    ]
    shapes = {"crops": [-1, 3, 16, 8], "embedding": [-1, 3]}
    extra = {
        "task": "embed",
        "preprocess": {"resize": "stretch", "color": "bgr"},
        "embedding": {"dim": 3, "normalised": False},
    }
    folder = tmp_path_factory.mktemp("models") / "mean-color"
    return _package(folder, nodes, {}, ["crops"], ["embedding"], shapes, extra)


@pytest.fixture(scope="session")
def spotter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector of the bright thing in a dark picture: the box around all that is light.

    Input images (N, 3, 96, 128), BGR 0..255; output boxes (N, 1, 4) and scores (N, 1), 0.9 where
    there is such a thing, else 0. Light is a mean of the three channels above 160.
    """
    columns, rows = np.arange(1, 129, dtype=np.float32), np.arange(1, 97, dtype=np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["grey"], axes=[1], keepdims=0),
        helper.make_node("Greater", ["grey", "threshold"], ["light"]),
        helper.make_node("Cast", ["light"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["mask"], ["in_columns"], axes=[1], keepdims=0),
        helper.make_node("ReduceMax", ["mask"], ["in_rows"], axes=[2], keepdims=0),
        *_edges("in_columns", "x", "width"),
        *_edges("in_rows", "y", "height"),
        helper.make_node("Concat", ["x1", "y1", "x2", "y2"], ["box"], axis=1),
        helper.make_node("Reshape", ["box", "as_boxes"], ["boxes"]),
        helper.make_node("ReduceMax", ["in_columns"], ["there"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["there", "sure"], ["scores"]),
    ]
    constants = {
        "threshold": np.float32(160),
        "sure": np.float32(0.9),
        "as_boxes": np.array([-1, 1, 4]),
        "width": np.float32(128),
        "height": np.float32(96),
        "x_ends": columns,
        "x_begins": columns[::-1].copy(),
        "y_ends": rows,
        "y_begins": rows[::-1].copy(),
    }
    shapes = {"images": [-1, 3, 96, 128], "boxes": [-1, 1, 4], "scores": [-1, 1]}
    extra = {
        "task": "detect",
        "labels": ["spot"],
        "preprocess": {"resize": "letterbox", "align": "top_left", "pad": 0, "color": "bgr"},
        "head": {"family": "boxes"},
    }
    folder = tmp_path_factory.mktemp("models") / "spotter"
    return _package(folder, nodes, constants, ["images"], ["boxes", "scores"], shapes, extra)


def _edges(mask: str, axis: str, size: str) -> list[onnx.NodeProto]:
    """The first and the last place of a mask (N, size) that is 1, as borders."""
    return [
        helper.make_node("Mul", [mask, f"{axis}_ends"], [f"{axis}_last"]),
        helper.make_node("ReduceMax", [f"{axis}_last"], [f"{axis}2"], axes=[1], keepdims=1),
        helper.make_node("Mul", [mask, f"{axis}_begins"], [f"{axis}_first"]),
        helper.make_node("ReduceMax", [f"{axis}_first"], [f"{axis}_left"], axes=[1], keepdims=1),
        helper.make_node("Sub", [size, f"{axis}_left"], [f"{axis}1"]),
    ]


def _package(
    folder: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.generic | np.ndarray],
    inputs: list[str],
    outputs: list[str],
    shapes: dict[str, list[int]],
    extra: dict[str, object],
) -> Path:
    """Writes a model package with a network of these nodes; gives its folder."""

    def value(name: str) -> onnx.ValueInfoProto:
        shape = ["batch" if n < 0 else n for n in shapes[name]]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def tensors(names: list[str]) -> list[dict[str, object]]:
        return [
            {"name": n, "shape": shapes[n], "dtype": "float32"}
            | ({"layout": "nchw"} if len(shapes[n]) == 4 else {})
            for n in names
        ]

    graph = helper.make_graph(
        nodes,
        folder.name,
        [value(name) for name in inputs],
        [value(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    folder.mkdir()
    path = folder / "network.onnx"
    onnx.save(model, path)
    data = path.read_bytes()
    file = {"path": path.name, "format": "onnx", "size": len(data)}
    manifest = {
        "schema": 1,
        "name": folder.name,
        "licence": "Apache-2.0",
        "source": "made by a test",
        "files": [file | {"sha256": hashlib.sha256(data).hexdigest()}],
        "inputs": tensors(inputs),
        "outputs": tensors(outputs),
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest | extra, sort_keys=False))
    return folder
