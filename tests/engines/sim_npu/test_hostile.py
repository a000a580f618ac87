"""Artefacts by an author who means harm: the hash is right, and nothing else need be.

Whatever is in the file, it is refused by name, or runs; nothing else is raised, and nothing large
is allocated for it.
"""

from __future__ import annotations

import contextlib
import copy
import json
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from engines.errors import ProgramError
from engines.program import Network
from engines.sim_npu.artefact import MAGIC, VERSION, Artefact, Segment, write
from engines.sim_npu.compiler.compile import compile_network
from engines.sim_npu.operators import OPERATORS
from engines.sim_npu.profiles import find
from engines.sim_npu.runtime.engine import SimNpuEngine
from engines.sim_npu.runtime.options import SimNpuOptions
from tests.engines.sim_npu.networks import Network as Drawn

#: What an honest small file makes the process allocate is far less.
LIMIT = 20 * 2**20
Header = dict[str, Any]


class Good(NamedTuple):
    """An honest file in its parts."""

    path: Path
    header: Header
    arrays: bytes

    def spoilt(self, header: Header | bytes, length: int | None = None) -> Network:
        """The file with another header, and the hash that belongs to it."""
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        start = struct.pack("<8sII", MAGIC, VERSION, len(text) if length is None else length)
        return self.sealed(start + text + self.arrays)

    def sealed(self, body: bytes) -> Network:
        path = self.path.with_name("spoilt.npu")
        path.write_bytes(body + sha256(body).digest())
        return Network(path, "sim-npu", precision="int8")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    """Every operator, in two segments on the device, and one on the host between them."""
    drawn = Drawn(6, image=(1, 4, 4, 4))
    drawn.pointwise(4)
    for name in ("gate", "residual", "square", "branches", "max_pool", "resize", "transpose"):
        getattr(drawn, name)()
    for name in ("focus", "on_the_host", "dense"):
        getattr(drawn, name)()
    folder = tmp_path_factory.mktemp("hostile")
    onnx.save(drawn.model(), folder / "network.onnx")
    image = {"image": drawn.normal(*drawn.image)}
    artefact = compile_network(folder / "network.onnx", find("hi3559a-nnie"), [image])
    assert {one.operator for part in artefact.segments for one in part.layers} == set(OPERATORS)
    assert [segment.on_device for segment in artefact.segments] == [True, False, True]
    write(replace(artefact, report={}), folder / "good.npu")
    content = (folder / "good.npu").read_bytes()
    (length,) = struct.unpack_from("<I", content, 12)
    return Good(
        folder / "good.npu", json.loads(content[16 : 16 + length]), content[16 + length : -32]
    )


def refusal(network: Network) -> str:
    """Why the engine does not take the file; empty where it takes it and runs it on zeros."""
    with SimNpuEngine("npu0", "cpu", SimNpuOptions()) as engine:
        engine.init()
        try:
            engine.prepare(network)
        except ProgramError as error:
            message = str(error)
        else:
            return ""
    assert str(network.path) in message
    return message


def test_the_honest_file_runs(good: Good) -> None:
    assert not refusal(good.spoilt(good.header))


def test_truncated_anywhere(good: Good) -> None:
    """With the hash of what is left."""
    body = good.path.read_bytes()[:-32]
    header = len(body) - len(good.arrays)
    for length in [*range(0, header, 17), *range(header - 3, header + 3), len(body) - 64]:
        assert refusal(good.sealed(body[:length])), length


@settings(max_examples=150)
@given(st.data())
def test_any_bytes_changed(good: Good, data: st.DataObject) -> None:
    body = bytearray(good.path.read_bytes()[:-32])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    refusal(good.sealed(bytes(body)))


#: What may stand anywhere in a header.
VALUES = (
    *(None, True, "", "x", [], {}, [[]], {"x": []}, [1], [0, 0], ["x"], -1, 0, 1, 255, 2**16),
    *(2**31, 2**60, 2**63, 10**400, -(2**63), 0.5, -0.5, 1e-45, 1e38, 1e999, -1e999, float("nan")),
    *([2**30, 2**30], [2**60], [1] * 64, [-1, 4], [0] * 4, [1, 1, 1, 2**40], [65535] * 2),
)


def ways(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a header with every key of it."""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in members:
        yield value, key
        if isinstance(inner, dict | list):
            yield from ways(inner)


@settings(max_examples=300)
@given(st.data())
def test_any_value_of_the_header_changed(good: Good, data: st.DataObject) -> None:
    header = copy.deepcopy(good.header)
    container, key = data.draw(st.sampled_from(list(ways(header))))
    if data.draw(st.integers(0, 9)):
        container[key] = data.draw(st.sampled_from(VALUES))
    else:
        del container[key]
    refusal(good.spoilt(header))


def layer_of(header: Header, operator: str) -> Header:
    """The first such layer of a header."""
    layers = (layer for segment in header["segments"] for layer in segment["layers"])
    return next(layer for layer in layers if layer["operator"] == operator)


def tensor(place: int, value: Any) -> Callable[[Header], None]:
    def change(header: Header) -> None:
        next(iter(header["tensors"].values()))[place] = value

    return change


def array(name: str, value: Any) -> Callable[[Header], None]:
    def change(header: Header) -> None:
        layer_of(header, "conv")["constants"]["weights"][name] = value

    return change


def attribute(operator: str, name: str, value: Any) -> Callable[[Header], None]:
    def change(header: Header) -> None:
        layer_of(header, operator)["attributes"][name] = value

    return change


def field(name: str, value: Any) -> Callable[[Header], None]:
    def change(header: Header) -> None:
        layer_of(header, "add")[name] = value

    return change


def uneven(header: Header) -> None:
    layer = layer_of(header, "conv")
    layer["attributes"]["groups"] = 2
    layer["constants"]["weights"]["shape"] = [3, 2, 1, 1]


def in_a_circle(header: Header) -> None:
    first, *_, last = header["segments"]
    first["inputs"].append(last["outputs"][0])


def twice(header: Header) -> None:
    header["segments"].insert(1, header["segments"][0])


def swapped(header: Header) -> None:
    layers = header["segments"][0]["layers"]
    layers[0], layers[1] = layers[1], layers[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (tensor(0, [2**60]), "tensors.*expected 1 … 134217728, got int '1152921504606846976'"),
        (tensor(0, [2**20, 2**20]), r"\[1048576, 1048576\]: expected at most 134217728 elements"),
        (tensor(0, [1] * 9), "expected 1 … 8 elements, got 9"),
        (tensor(0, []), "expected 1 … 8 elements, got 0"),
        (tensor(0, [1, -4, 4, 4]), "got int '-4'"),
        (tensor(1, 0.0), "got float '0.0'"),
        (tensor(1, -0.5), "got float '-0.5'"),
        (tensor(1, float("nan")), "NaN is no finite number"),
        (tensor(1, 10**4000), "expected 1.17549e-38 … 3.40282e[+]38, got int '1000"),
        (tensor(2, 128), "expected -128 … 127, got int '128'"),
        (array("start", 10**6), "expected 0 … .*, got int '1000000'"),
        (array("start", -64), "got int '-64'"),
        (array("shape", [2**20, 1, 1, 1]), "goes beyond the file"),
        (array("shape", [-1]), "got int '-1'"),
        (array("dtype", "float64"), "an array of float64: expected one of int8, uint8, int32"),
        (array("dtype", "int32"), r"layer 't0': conv has weights int32\[.*expected int8\["),
        (attribute("conv", "strides", [0, 1]), r"strides are \[0, 1\], expected 2 integers ≥ 1"),
        (attribute("conv", "strides", [-1, 1]), r"strides\[0\]: expected 0 … .*, got int '-1'"),
        (attribute("conv", "pads", [2**26] * 4), "a padded picture of .* is too large"),
        (attribute("conv", "groups", 3), "channels of weights in groups of 3 do not fit"),
        (attribute("conv", "groups", [1]), r"in groups of \[1\] do not fit"),
        (uneven, "3 x 2 channels of weights in groups of 2 do not fit 4"),
        (attribute("max_pool", "kernel", [2**26, 1]), "does not fit a padded picture"),
        (attribute("resize_nearest", "factors", [2**40, 2**13]), r"makes \(.*, expected \("),
        (attribute("concat", "axis", 7), "axis 7 is none of 4"),
        (attribute("transpose", "axes", [0, 1, 1, 2]), "are no order of 4 axes"),
        (attribute("reshape", "shape", [2**30]), r"cannot become \(1073741824,\)"),
        (attribute("reshape", "shape", 1), "shape are 1, expected any integers ≥ 1"),
        (attribute("slice", "stops", [1, 1, 1, 2**40]), "is not in"),
        (field("cycles", -5), "cycles: expected 0 … 68719476736, got int '-5'"),
        (field("cycles", 2**53), "cycles: expected 0 … 68719476736, got int '9007"),
        (field("inputs", ["later", "later"]), "reads .'later', 'later'., which nothing makes"),
        (field("operator", "exec"), "the device has no operator 'exec'"),
        (in_a_circle, "segment 0 reads 't.*', which nothing before makes"),
        (twice, "segment 1 makes a tensor that is there already"),
        (swapped, "reads .*, which nothing makes"),
    ],
)
def test_each_lie_is_named(good: Good, change: Callable[[Header], None], message: str) -> None:
    header = copy.deepcopy(good.header)
    change(header)
    network = good.spoilt(header)
    with bounded_memory(), pytest.raises(ProgramError, match=message):
        raise ProgramError(refusal(network))


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Fails where more was allocated at a time than an honest small file needs."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < LIMIT
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 100_000, "it is nested too deep"),
        (b'{"a":' * 100_000, "it is nested too deep"),
        (b'{"inputs": [], "inputs": ["x"]}', "it names 'inputs' twice"),
        (b'{"profile": 1' + b"0" * 10_000 + b"}", "Exceeds the limit"),
        (b'{"profile": 1e999}', "1e999 is no finite number"),
        (b'{"profile": -Infinity}', "-Infinity is no finite number"),
        (b'{"profile": "\xff"}', "can't decode byte 0xff"),
        (b"{", "Expecting property name"),
        (b"[]", "it: expected an object, got list"),
        (b"", "Expecting value"),
    ],
)
def test_a_header_that_is_no_header(good: Good, text: bytes, message: str) -> None:
    with bounded_memory():
        assert message in refusal(good.spoilt(text))


@pytest.mark.parametrize("length", [2**32 - 1, 10**6, -1])
def test_a_header_longer_than_the_file(good: Good, length: int) -> None:
    length = length if length >= 0 else good.path.stat().st_size - 16
    text = json.dumps(good.header).encode()
    assert f"its header of {length} bytes is longer than the file" in refusal(
        good.spoilt(text, length)
    )


def spoilt_constant(good: Good, operator: str, name: str, value: bytes) -> Network:
    """The file with the first bytes of a layer's constant changed."""
    start = layer_of(good.header, operator)["constants"][name]["start"]
    arrays = good.arrays[:start] + value + good.arrays[start + len(value) :]
    return good._replace(arrays=arrays).spoilt(good.header)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("shift", b"\xff", "conv has a shift that is not in 0 … 44"),
        ("multiplier", bytes(4), "conv has a multiplier that is not in 1 … 2147483647"),
        ("multiplier", b"\xff" * 4, "conv has a multiplier that is not in 1 … 2147483647"),
    ],
)
def test_rescaling_beyond_what_is_exact(good: Good, name: str, value: bytes, message: str) -> None:
    assert message in refusal(spoilt_constant(good, "conv", name, value))


def host_network(external: str = "", branch: bool = False) -> bytes:
    """An ONNX file that adds a weight of its own, or one that is said to lie elsewhere."""
    weight = numpy_helper.from_array(np.zeros(4, np.float32), "w")
    if external:
        weight.ClearField("raw_data")
        weight.external_data.add(key="location", value=external)
        weight.data_location = TensorProto.EXTERNAL
    x, y, inner = (helper.make_tensor_value_info(name, 1, [4]) for name in ("x", "y", "v"))
    nodes, weights = [helper.make_node("Add", ["x", "w"], ["y"])], [weight]
    if branch:
        constant = helper.make_node("Constant", [], ["v"], value=weight)
        taken = helper.make_graph([constant], "taken", [], [inner])
        yes = numpy_helper.from_array(np.array(True), "yes")
        chosen = helper.make_node("If", ["yes"], ["w"], then_branch=taken, else_branch=taken)
        nodes, weights = [chosen, *nodes], [yes]
    graph = helper.make_graph(nodes, "host", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def on_the_host(folder: Path, network: bytes, **names: tuple[str, ...]) -> Network:
    """An artefact of one host segment."""
    segment = Segment(**{"inputs": ("x",), "outputs": ("y",), "network": network} | names)
    profile = find("hi3559a-nnie")
    ends = segment.inputs, segment.outputs
    artefact = Artefact(profile.name, profile.digest, "fixed", "", {}, (segment,), *ends)
    write(artefact, folder / "host.npu")
    return Network(folder / "host.npu", "sim-npu", precision="int8")


def test_an_honest_host_segment_runs(tmp_path: Path) -> None:
    for branch in (False, True):
        assert not refusal(on_the_host(tmp_path, host_network(branch=branch)))


@pytest.mark.parametrize("branch", [False, True])
@pytest.mark.parametrize(
    "where", ["../../etc/passwd", "/etc/passwd", "beside.bin", "*/_ORT_MEM_ADDR_/*"]
)
def test_a_host_segment_reads_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, branch: bool
) -> None:
    (tmp_path / "beside.bin").write_bytes(bytes(64))
    monkeypatch.chdir(tmp_path)
    message = refusal(on_the_host(tmp_path, host_network(where, branch)))
    assert "tensor 'w' is said to lie in another file" in message


@pytest.mark.parametrize(
    ("network", "names", "message"),
    [
        (b"\x00garbage", {}, "cannot be loaded"),
        (b"\x0a" * 5000, {}, "cannot be loaded"),
        (host_network()[:-20], {}, "cannot be loaded"),
        (host_network(), {"inputs": ("z",)}, "its network makes y of x"),
        (host_network(), {"outputs": ("z",)}, "its network makes y of x"),
        (b"", {}, "cannot be loaded"),
    ],
)
def test_a_host_segment_that_is_none(
    tmp_path: Path, network: bytes, names: dict[str, tuple[str, ...]], message: str
) -> None:
    assert message in refusal(on_the_host(tmp_path, network, **names))
