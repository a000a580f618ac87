"""Which formats become which, directly and through ONNX."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import engines
from engines.convert import CONVERTERS, convert, targets
from tests.engines.convert.caffe.caffe_files import by_opencv, save

TEXT = (
    'input: "data"\ninput_shape { dim: 1 dim: 3 dim: 8 dim: 10 }\n'
    'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"\n'
    "  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }\n"
)


@pytest.fixture
def source(tmp_path: Path) -> engines.Network:
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 1, shape).astype(np.float32) for shape in ((4, 3, 3, 3), (4,))]
    return save(tmp_path, TEXT, {"conv": weights})


def test_targets_are_direct_ones_and_those_through_onnx() -> None:
    assert targets("onnx") == (
        "torchscript",
        "openvino",
        "ncnn",
        "mnn",
        "tflite",
        "tvm",
        "tensorrt",
    )
    assert targets("caffe") == ("onnx", *targets("onnx"))
    assert targets("torchscript") == (
        "onnx",
        "openvino",
        "ncnn",
        "mnn",
        "tflite",
        "tvm",
        "tensorrt",
    )
    assert targets("ncnn") == ()


@pytest.mark.parametrize("module", sorted(set(CONVERTERS.values())))
def test_every_converter_is_there(module: str) -> None:
    """Also where its library is not installed."""
    assert callable(import_module(module).convert)


def test_a_format_between_is_used_and_leaves_nothing(
    source: engines.Network, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    folder = tmp_path / "made"
    folder.mkdir()
    made = convert(source, "openvino", folder)
    assert made.format == "openvino"
    assert made.path.parent == folder
    assert not list(folder.glob("*.onnx"))
    data = np.random.default_rng(1).normal(0, 1, (1, 3, 8, 10)).astype(np.float32)
    with engines.create("vino", "openvino") as engine:
        engine.init()
        engine.prepare(made)
        engine.set_tensor("data", data)
        engine.forward()
        found = engine.get_tensor("conv")
    [expected] = by_opencv(source, {"data": data}, ["conv"])
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("format_", "target", "words"),
    [
        ("onnx", "caffe", "onnx cannot become caffe; it can become torchscript or openvino or"),
        ("ncnn", "onnx", "ncnn cannot become onnx; it can become nothing else"),
        ("onnx", "onnx", "onnx cannot become onnx"),
    ],
)
def test_an_impossible_pair_names_what_is_possible(
    tmp_path: Path, format_: str, target: str, words: str
) -> None:
    with pytest.raises(engines.ProgramError) as caught:
        convert(engines.Network(tmp_path / "net", format_), target, tmp_path)
    assert words in str(caught.value)


def test_an_unknown_precision_names_those_there_are(
    source: engines.Network, tmp_path: Path
) -> None:
    with pytest.raises(engines.ProgramError, match="expected one of fp32, bf16, fp16, int8, got"):
        convert(source, "onnx", tmp_path, "float32")
