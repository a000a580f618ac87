"""ONNX to OpenVINO's IR."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engines
from engines import Network, ProgramError
from engines.convert import convert
from tests.engines.subjects import expected_features, picture, small_network

pytest.importorskip("openvino")


def test_the_ir_gives_what_the_network_gave(tmp_path: Path) -> None:
    source = small_network(tmp_path / "source", batch=-1)
    made = convert(source, "openvino", tmp_path)
    assert made == Network(
        tmp_path / "convolution.xml", "openvino", source.inputs, source.outputs, precision="fp32"
    )
    assert made.path.with_suffix(".bin").stat().st_size == 4 * 3 * 3 * 3 * 4
    with engines.create("ov0", "openvino") as engine:
        engine.init()
        engine.prepare(made)
        engine.set_tensor("image", picture(batch=2))
        engine.forward()
        found = engine.get_tensor("features")
    np.testing.assert_allclose(found, expected_features(picture(batch=2)), atol=1e-5)


def test_fp16_halves_the_weights(tmp_path: Path) -> None:
    made = convert(small_network(tmp_path), "openvino", tmp_path, "fp16")
    assert made.precision == "fp16"
    assert made.path.with_suffix(".bin").stat().st_size == 4 * 3 * 3 * 3 * 2


@pytest.mark.parametrize(("stored", "wanted"), [("fp32", "int8"), ("int8", "fp32")])
def test_a_precision_it_cannot_store(tmp_path: Path, stored: str, wanted: str) -> None:
    source = replace(small_network(tmp_path), precision=stored)
    with pytest.raises(ProgramError, match=rf"stored in {stored}.*not in {wanted}"):
        convert(source, "openvino", tmp_path, wanted)


def test_a_file_that_is_no_network(tmp_path: Path) -> None:
    path = tmp_path / "empty.onnx"
    path.touch()
    with pytest.raises(ProgramError, match=r"empty\.onnx: OpenVINO cannot convert it"):
        convert(Network(path, "onnx"), "openvino", tmp_path)
