"""ONNX to ncnn by pnnx: names, batches, what pnnx gets wrong alone, and what ncnn lacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from engines import ProgramError
from engines.convert.ncnn import convert
from tests.engines.convert import networks
from tests.engines.convert.test_focus import save_focus

pytest.importorskip("ncnn")
pytest.importorskip("pnnx")


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_keeps_names_and_open_batch_and_folds_focus(tmp_path: Path) -> None:
    source = save_focus(tmp_path / "focus.onnx")
    made = convert(source, tmp_path, "fp32")
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "focus.onnx",
        "network.bin",
        "network.param",
    ]
    assert (made.format, made.precision) == ("ncnn", "fp32")
    assert [str(spec) for spec in made.inputs] == ["image: float32[?, 3, 12, 16]"]
    feeds = {"image": image(3, 3, 12, 16)}
    expected = networks.run("onnxruntime", source, feeds)["y"]
    np.testing.assert_allclose(networks.run("ncnn", made, feeds)["y"], expected, atol=3e-5)


def test_several_outputs_named_as_pnnx_numbers_its_own(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["0"], ["a"]),
        helper.make_node("Sigmoid", ["a"], ["2"]),
        helper.make_node("Exp", ["a"], ["1"]),
    ]
    shape = [1, 3, 4, 5]
    source = networks.save(tmp_path / "n.onnx", nodes, {"0": shape}, {"2": shape, "1": shape})
    made = convert(source, tmp_path, "fp32")
    expected = networks.run("onnxruntime", source, {"0": image(1, 3, 4, 5)})
    found = networks.run("ncnn", made, {"0": image(1, 3, 4, 5)})
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


@pytest.mark.parametrize("opset", [12, 13])
def test_a_split_without_lengths(tmp_path: Path, opset: int) -> None:
    """pnnx alone writes a network of it that kills the process."""
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b", "c"], axis=3),
        helper.make_node("Concat", ["c", "b", "a"], ["reversed"], axis=3),
        helper.make_node("Transpose", ["reversed"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "w"], ["y"]),
    ]
    shapes = {"x": [1, 4, 5, 3]}, {"y": [1, 3, 4, 5]}
    weight = {"w": np.eye(3, dtype=np.float32)[:, :, None, None]}
    source = networks.save(tmp_path / "n.onnx", nodes, *shapes, weight, opset)
    found = networks.run("ncnn", convert(source, tmp_path, "fp32"), {"x": image(1, 4, 5, 3)})
    np.testing.assert_array_equal(found["y"], image(1, 4, 5, 3)[..., ::-1].transpose(0, 3, 1, 2))


def test_half_precision_weights(tmp_path: Path) -> None:
    source = save_focus(tmp_path / "focus.onnx")
    sizes = {}
    for precision in ("fp32", "fp16"):
        made = convert(source, tmp_path, precision)
        assert made.precision == precision
        sizes[precision] = made.path.with_suffix(".bin").stat().st_size
        feeds = {"image": image(1, 3, 12, 16)}
        expected = networks.run("onnxruntime", source, feeds)["y"]
        error = np.abs(networks.run("ncnn", made, feeds)["y"] - expected).max()
        assert error < (3e-5 if precision == "fp32" else 3e-2)
    assert sizes["fp16"] < 0.6 * sizes["fp32"]


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_other_precisions_are_refused(tmp_path: Path, precision: str) -> None:
    with pytest.raises(ProgramError, match=f"fp32 or fp16, not {precision}"):
        convert(save_focus(tmp_path / "focus.onnx"), tmp_path, precision)


def test_what_ncnn_lacks_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    nodes = [helper.make_node("Det", ["x"], ["y"])]
    source = networks.save(tmp_path / "n.onnx", nodes, {"x": [1, 3, 4, 4]}, {"y": [1, 3]})
    with pytest.raises(ProgramError, match="ncnn has no layer"):
        convert(source, tmp_path, "fp32")
    assert [path.name for path in tmp_path.iterdir()] == ["n.onnx"]


def test_open_height_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    shape = [1, 3, "h", 4]
    source = networks.save(tmp_path / "n.onnx", nodes, {"x": shape}, {"y": shape})
    with pytest.raises(ProgramError, match="expected fixed lengths"):
        convert(source, tmp_path, "fp32")


@pytest.mark.parametrize("content", [b"", b"7767517\n", bytes(range(256)) * 8])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    source = save_focus(tmp_path / "focus.onnx")
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(ProgramError, match=r"bad\.onnx: not a valid ONNX network"):
        convert(replace(source, path=tmp_path / "bad.onnx"), tmp_path, "fp32")
