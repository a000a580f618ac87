"""Networks that are wrong: every one is a ProgramError that names file, line and layer."""

from __future__ import annotations

import random
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines import EngineUnavailable, ProgramError
from engines.convert.caffe import convert
from tests.engines.convert.caffe.caffe_files import refusal, save
from tests.engines.convert.caffe.test_layers import CASES
from tests.engines.convert.caffe.test_networks import resnet, ssd_mobilenet

INPUT = 'input: "data"\ninput_shape { dim: 1 dim: 4 dim: 8 dim: 8 }\n'
ONE = {"it": [np.ones((2, 4, 3, 3), np.float32), np.ones(2, np.float32)]}


def _layer(kind: str, parameters: str = "", top: str = 'top: "out"') -> str:
    return f'layer {{ name: "it" type: "{kind}"\n  bottom: "data" {top} {parameters} }}\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no layer in it"),
        (_layer("ReLU"), "no input"),
        (INPUT + _layer("Yolov3DetectionOutput"), "net.prototxt:3: layer 'it' (Yolov3Detection"
         "Output): layers of type Yolov3DetectionOutput cannot be converted; those of AbsVal,"),
        (INPUT + _layer("ReLU").replace("data", "date"), "bottom 'date' is made by no layer"),
        (INPUT + _layer("Convolution"), "it has no kernel_size"),
        (INPUT + _layer("Convolution", "convolution_param { num_output: 3 kernel_size: 3 }"),
         "expected weights [3, 4, 3, 3], the .caffemodel has [2, 4, 3, 3]"),
        (INPUT + _layer("Convolution", "convolution_param { num_output: 0 kernel_size: 3 }"),
         "num_output: expected 1 to"),
        (INPUT + _layer("Convolution", "convolution_param { num_output: 2 kernel_size: 9 }"),
         "expected weights [2, 4, 9, 9]"),
        (INPUT + _layer("Convolution", "convolution_param { num_output: 2 kernel_size: 3 "
         "dilation: 9 }"), "impossible shape [1, 2, -10, -10]"),
        (INPUT + _layer("BatchNorm"), "its scale factor are not in the .caffemodel"),
        (INPUT + _layer("Pooling", "pooling_param { pool: STOCHASTIC }"), "pool: STOCHASTIC"),
        (INPUT + _layer("Pooling", "pooling_param { kernel_size: 9 }"), "a window of 9"),
        (INPUT + _layer("Pooling", "pooling_param { kernel_size: 2 stride: 0 }"), "stride"),
        (INPUT + _layer("Flatten", "flatten_param { axis: 7 }"), "axis 7 of 4"),
        (INPUT + _layer("Reshape", "reshape_param { shape { dim: 7 dim: -1 } }"), "cannot make"),
        (INPUT + _layer("Reshape", "reshape_param { shape { dim: -1 dim: -1 } }"), "as [-1, -1]"),
        (INPUT + _layer("Permute", "permute_param { order: 1 order: 1 }"), "names an axis twice"),
        (INPUT + _layer("Slice", top='top: "a" top: "b" top: "c"'), "cannot cut 4 elements"),
        (INPUT + _layer("Eltwise"), "expected 2 bottoms, found 1"),
        (INPUT + _layer("ReLU", top=""), "gives more than its 0 tops"),
        (INPUT + _layer("ReLU", top='top: "a" top: "b"'), "expected 1 tops, found 2"),
        (INPUT + _layer("PriorBox", 'bottom: "data" prior_box_param { min_size: 0 }'), "min_size"),
        (INPUT + _layer("PriorBox", 'bottom: "data" prior_box_param { min_size: 9 max_size: -8 }'),
         "max_size: expected one above each min_size, found [-8.0]"),
        (INPUT.replace("8", "99999") + _layer("ReLU"), "no shape of an input"),
    ],
)  # fmt: skip
def test_a_fault_is_named(tmp_path: Path, text: str, words: str) -> None:
    network = save(tmp_path, text, ONE)
    with pytest.raises(ProgramError) as caught:
        convert(network, tmp_path, "fp32")
    assert words in str(caught.value)
    assert "net.prototxt" in str(caught.value)
    assert not (tmp_path / "net.onnx").exists()


def test_missing_weights_are_named(tmp_path: Path) -> None:
    network = save(tmp_path, INPUT + _layer("ReLU"), ONE)
    network.path.with_suffix(".caffemodel").unlink()
    with pytest.raises(ProgramError, match=r"net\.caffemodel: no such file; put the weights"):
        convert(network, tmp_path, "fp32")


def test_a_missing_package_is_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = save(tmp_path, INPUT + _layer("ReLU"), ONE)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'sightline\[convert\]'"):
        convert(network, tmp_path, "fp32")


def test_another_precision_is_refused(tmp_path: Path) -> None:
    network = save(tmp_path, INPUT + _layer("ReLU"), ONE)
    with pytest.raises(ProgramError, match="fp32 only, not in int8"):
        convert(network, tmp_path, "int8")


def test_priors_of_an_absurd_size_take_no_memory(tmp_path: Path) -> None:
    text = (
        'input: "data"\ninput_shape { dim: 1 dim: 1 dim: 40000 dim: 40000 }\n'
        'layer { name: "it" type: "PriorBox" bottom: "data" bottom: "data" top: "out"\n'
        "  prior_box_param { min_size: 1 } }\n"
    )
    tracemalloc.start()
    with pytest.raises(ProgramError, match="are too many"):
        convert(save(tmp_path, text, ONE), tmp_path, "fp32")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20  # the boxes would be 50 GB


NETS = [(net.text, net.weights) for net in (ssd_mobilenet(), resnet())]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.sampled_from(NETS), seed=st.integers(0, 2**32 - 1))
def test_a_damaged_text_is_converted_or_refused(
    tmp_path: Path, which: tuple[str, dict[str, list[np.ndarray]]], seed: int
) -> None:
    """Words and numbers of a real network, exchanged at random: never anything but our error."""
    text, weights = which
    chance = random.Random(seed)
    words = text.split(" ")
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(words))
        words[place] = chance.choice([chance.choice(words), "0", "-1", "99999", "1e30", "", "}"])
    network = save(tmp_path, text, weights)
    network.path.write_text(" ".join(words))
    assert refusal(lambda: convert(network, tmp_path, "fp32")) != ""


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=st.sampled_from(sorted(CASES)), seed=st.integers(0, 2**32 - 1))
def test_damaged_parameters_are_converted_or_refused(tmp_path: Path, case: str, seed: int) -> None:
    """Every type of layer, with other numbers and one bottom or top too many."""
    kind, parameters, shape, weights = CASES[case]
    chance = random.Random(seed)
    words = parameters.split(" ")
    for _ in range(chance.randint(1, 3)):
        odd = ["0", "-1", "1", "65535", "2147483647", "1e30", "1e-30", "true"]
        words[chance.randrange(len(words))] = chance.choice([chance.choice(words), *odd])
    dims = " ".join(f"dim: {n}" for n in shape[: chance.choice([4, 4, 4, 1])])
    text = (
        f'input: "data" input_shape {{ {dims} }} layer {{ name: "it" type: "{kind}" '
        f'bottom: "data" top: "a" {" ".join(words)} '
        f"""{chance.choice(["", "", 'bottom: "data"', 'top: "b"'])} }}"""
    )
    network = save(tmp_path, text, {"it": [np.ones(s, np.float32) for s in weights or [(1,)]]})
    found = refusal(lambda: convert(network, tmp_path, "fp32"))
    assert found is None or "net" in found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_weights_are_converted_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    text, weights = NETS[1]
    network = save(tmp_path, text, weights)
    path = network.path.with_suffix(".caffemodel")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    found = refusal(lambda: convert(network, tmp_path, "fp32"))
    assert found is None or "net." in found
