"""Focus and the convolution it becomes give the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from engines import Network
from engines.convert import focus, graph
from tests.engines.convert import networks

INT_MAX = 2**31 - 1
HALVES = ((0, 0), (1, 0), (0, 1), (1, 1))


def save_focus(path: Path, halves: tuple[tuple[int, int], ...] = HALVES, group: int = 1) -> Network:
    """Slices of every second row and column, stacked, convolved 3x3 with stride 1 and pad 1."""
    constants: networks.Arrays = {
        "end": np.array([INT_MAX]),
        "two": np.array([2]),
        "rows": np.array([2]),
        "columns": np.array([3]),
        "zero": np.array([0]),
        "one": np.array([1]),
        "w": np.random.default_rng(0).normal(size=(8, 12 // group, 3, 3)).astype(np.float32),
        "b": np.linspace(-1, 1, 8, dtype=np.float32),
    }
    nodes = []
    for n, (dy, dx) in enumerate(halves):
        first, second = ("zero", "one")[dy], ("zero", "one")[dx]
        nodes += [
            helper.make_node("Slice", ["image", first, "end", "rows", "two"], [f"rows{n}"]),
            helper.make_node("Slice", [f"rows{n}", second, "end", "columns", "two"], [f"half{n}"]),
        ]
    nodes += [
        helper.make_node("Concat", [f"half{n}" for n in range(4)], ["stacked"], axis=1),
        helper.make_node("Conv", ["stacked", "w", "b"], ["y"], pads=[1] * 4, group=group),
    ]
    shapes = {"image": ["n", 3, 12, 16]}, {"y": ["n", 8, 6, 8]}
    return networks.save(path, nodes, *shapes, constants)


@pytest.mark.parametrize("halves", [HALVES, HALVES[::-1]])
def test_one_convolution_gives_the_same(
    tmp_path: Path, halves: tuple[tuple[int, int], ...]
) -> None:
    network = save_focus(tmp_path / "focus.onnx", halves)
    model = graph.load(network.path)
    assert focus.fold(model) == 1
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Conv"]
    onnx.save(model, tmp_path / "folded.onnx")
    folded = Network(tmp_path / "folded.onnx", "onnx")
    image = {"image": np.random.default_rng(1).normal(size=(2, 3, 12, 16)).astype(np.float32)}
    found = networks.run("onnxruntime", folded, image)["y"]
    expected = networks.run("onnxruntime", network, image)["y"]
    np.testing.assert_allclose(found, expected, atol=3e-5)


@pytest.mark.parametrize(
    ("halves", "group"), [(HALVES[:1] * 4, 1), ((*HALVES[:3], (0, 0)), 1), (HALVES, 2)]
)
def test_what_only_looks_like_it_stays(
    tmp_path: Path, halves: tuple[tuple[int, int], ...], group: int
) -> None:
    model = graph.load(save_focus(tmp_path / "other.onnx", halves, group).path)
    before = model.SerializeToString()
    assert focus.fold(model) == 0
    assert model.SerializeToString() == before


@pytest.mark.assets
def test_yolox(assets: Path, tmp_path: Path) -> None:
    path = assets / "models" / "yolox_nano" / "yolox_nano_opencv_zoo.onnx"
    model = graph.load(path)
    assert focus.fold(model) == 1
    assert not [node for node in model.graph.node if node.op_type == "Slice"]
    onnx.save(model, tmp_path / "folded.onnx")
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 416, 416)).astype(np.float32)
    found, expected = (
        networks.run("onnxruntime", Network(p, "onnx"), {"images": image})["output"]
        for p in (tmp_path / "folded.onnx", path)
    )
    np.testing.assert_allclose(found, expected, atol=3e-5)
