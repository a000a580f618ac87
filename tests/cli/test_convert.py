"""``sightline models convert``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.models import comparison
from tests.cli.conftest import Command, Package
from tests.engines.convert.caffe.caffe_files import save

TEXT = (
    'input: "data"\ninput_shape { dim: 1 dim: 3 dim: 16 dim: 24 }\n'
    'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"\n'
    "  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }\n"
    'layer { name: "relu" type: "ReLU" bottom: "conv" top: "relu" }\n'
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def caffe(tmp_path: Path) -> Path:
    """A network's .prototxt, its weights beside it."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 1, shape).astype(np.float32) for shape in ((4, 3, 3, 3), (4,))]
    return save(tmp_path, TEXT, {"conv": weights}).path


def test_a_file_is_converted_and_the_comparison_shown(sightline: Command, caffe: Path) -> None:
    result = sightline("models", "convert", caffe, "--to", "onnx")
    assert result.code == 0, result.err
    assert "relu" in result.out
    assert "compared on 8 pictures of the shipped sample video" in result.out
    assert Path(result.out.rpartition("converted: ")[2].strip()).is_file()


def test_json_has_the_report_and_its_folder(
    sightline: Command, caffe: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    result = sightline("models", "convert", caffe, "--to", "onnx", "-o", folder,
                       "--outputs", "conv,relu", "--json")  # fmt: skip
    facts = json.loads(result.out)
    assert facts["folder"] == str(folder)
    assert facts["verdict"] == "equal"
    assert [output["name"] for output in facts["outputs"]] == ["conv", "relu"]
    kept = json.loads((folder / "report.json").read_text())
    assert kept == {key: value for key, value in facts.items() if key != "folder"}


def test_a_network_that_differs_ends_with_1(
    sightline: Command, caffe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(comparison.TOLERANCES, "fp32", -1.0)
    result = sightline("models", "convert", caffe, "--to", "onnx")
    assert result.code == 1
    assert "differs" in result.out
    assert "not the same network; left in" in result.err


def test_a_model_by_name_is_converted(
    sightline: Command, package: Callable[[float], Package]
) -> None:
    pytest.importorskip("openvino")
    model = package(0.5)
    result = sightline("models", "convert", model, "--to", "openvino")
    assert result.code == 0, result.err
    assert "openvino" in result.out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["hog-people", "--to", "onnx"], "is built into an engine"),
        (["no-such-model", "--to", "onnx"], "no model 'no-such-model'"),
        (["net.prototxt", "--to", "coreml"], "caffe cannot become coreml; it can become onnx or"),
        (["net.prototxt", "--to", "onnx", "--precision", "int8"], "fp32 only, not in int8"),
        (["net.prototxt", "--to", "onnx", "--outputs", "nose"], "no blob 'nose'"),
        (["street-pico", "--to", "tvm", "--outputs", "nose"], "--outputs goes with a .prototxt"),
        (["street-pico", "--to", "onnx"], "it is onnx already"),
        (["net.prototxt", "--to", "onnx", "--weights", "net.onnx"], "--weights goes with a model"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(
    sightline: Command, caffe: Path, args: list[str], words: str
) -> None:
    result = sightline("models", "convert", *args)
    assert result.code in (1, 2)
    assert words in result.err.replace("\n", " ")
    assert len(result.err.strip().splitlines()) == 1
