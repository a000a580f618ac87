"""Compiled networks, whole: the fast runtime, the slow reference and ONNX Runtime, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import NodeProto

from engines.convert import graph as onnx_graph
from engines.program import Network as Program
from engines.registry import create
from engines.sim_npu import operators, profiles
from engines.sim_npu.artefact import Artefact, Layer, Segment, read, write
from engines.sim_npu.compiler.calibration import METHODS
from engines.sim_npu.compiler.compile import Choice, Prepared, finish, prepare, quantised
from engines.sim_npu.runtime.program import DeviceProgram
from tests.engines.sim_npu import qlinear
from tests.engines.sim_npu.checking import Stored, assert_as_reference, watched
from tests.engines.sim_npu.layers import numbers
from tests.engines.sim_npu.networks import Network, networks

NNIE = profiles.find("hi3559a-nnie")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


def prepared(network: Network, scale: float, folder: Path) -> Prepared:
    """Calibrated with one input of this scale, of which the second channel is constant."""
    path = folder / "network.onnx"
    onnx.save(network.model(), path)
    image = network.normal(*network.image) * np.float32(scale)
    image[:, 1:2] = 3 * np.float32(scale)
    return prepare(path, [{"image": image}])


@st.composite
def choices(draw: st.DrawFn, rounding: str) -> Choice:
    return Choice(draw(st.sampled_from(sorted(METHODS))), draw(st.booleans()), rounding)


def fed(artefact: Artefact, segment: Segment, seed: int) -> Iterator[tuple[Stored, int]]:
    """All of the lowest or highest number, and any; with how many numbers to compare."""
    rng = np.random.default_rng(seed)
    shapes = {name: artefact.tensors[name].shape for name in segment.inputs}
    end = (-128, 127)[seed % 2]
    yield {name: np.full(shape, end, np.int8) for name, shape in shapes.items()}, 40
    yield {name: numbers(rng, shape) for name, shape in shapes.items()}, 100_000


def assert_same(found: Stored, expected: Stored) -> None:
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


SCALES = st.sampled_from([1e-6, 1.0, 300.0])


@settings(max_examples=100)
@given(networks(), SCALES, *(choices(rounding) for rounding in operators.ROUNDINGS))
def test_random_networks(
    folder: Path, network: Network, scale: float, fixed: Choice, as_onnx: Choice
) -> None:
    ready = prepared(network, scale, folder)
    for choice in (fixed, as_onnx):
        write(finish(ready, NNIE, choice), folder / "network.npu")
        artefact = read(folder / "network.npu")
        for segment in [segment for segment in artefact.segments if segment.on_device]:
            program, usual = watched(artefact, segment), DeviceProgram(artefact, segment)
            for inputs, most in fed(artefact, segment, network.seed):
                made = program.run(inputs)
                assert_same(usual.run(inputs), made)
                assert_as_reference(artefact, segment, inputs | made, most)
                if choice is as_onnx:
                    assert_same(made, qlinear.run(segment.layers, artefact.tensors, inputs))


@settings(max_examples=80)
@given(networks(("activation", "scalar", "convolution")), SCALES)
def test_tables_are_what_onnx_runtime_makes_of_all_256_numbers(
    folder: Path, network: Network, scale: float
) -> None:
    """DequantizeLinear, the node as the network has it, QuantizeLinear.

    QLinearSigmoid and QLinearLeakyRelu make the same: none of 756,000 numbers differed.
    """
    ready = prepared(network, scale, folder)
    lowered = quantised(ready, Choice()).layers
    tensors = finish(ready, NNIE, Choice()).tensors
    for node in ready.model.graph.node:
        for layer in lowered.get(node.output[0], []):
            if layer.operator == "lookup":
                graph = qlinear.Graph(tensors)
                found = by_onnx(graph, node, layer, ready)
                table = np.broadcast_to(layer.constants["table"], found.shape)
                np.testing.assert_array_equal(table, found, node.op_type)


def by_onnx(graph: qlinear.Graph, node: NodeProto, layer: Layer, ready: Prepared) -> np.ndarray:
    """The table of each channel."""
    (source,), known = layer.inputs, onnx_graph.constants(ready.model.graph)
    real = NodeProto()
    real.CopyFrom(node)
    constants = {
        name: array if array.size > 1 else array.reshape(()) for name, array in known.items()
    }
    real.input[:] = [
        graph.real(name) if name == source else graph.constant(constants[name])
        for name in node.input
    ]
    real.output[:] = ["exact"]
    graph.nodes.append(real)
    graph.stored("exact", layer.output)
    channels = graph.tensors[source].shape[1]
    every = np.tile(np.arange(-128, 128).astype(np.int8)[:, None], (1, channels, 1, 1))
    model = {"functions": ready.model.functions, "opset_imports": ready.model.opset_import}
    return graph.run({source: every}, [layer.output], **model)[0][0, :, :, 0]


@settings(max_examples=10)
@given(networks(), choices("fixed"))
def test_nothing_depends_on_chance(folder: Path, network: Network, choice: Choice) -> None:
    """Compiled twice, the bytes are the same; with two threads, the numbers are."""
    files = [folder / "first.npu", folder / "second.npu"]
    for path in files:
        network.random = np.random.default_rng(0)
        artefact = finish(prepared(network, 1.0, folder), NNIE, choice)
        write(artefact, path)
    assert files[0].read_bytes() == files[1].read_bytes()
    for segment in [segment for segment in artefact.segments if segment.on_device]:
        one, two = (watched(artefact, segment, threads) for threads in (1, 2))
        for inputs, _ in fed(artefact, segment, network.seed):
            assert_same(one.run(inputs), two.run(inputs))


def test_an_engine_of_its_own_process_gives_the_same(folder: Path) -> None:
    """And one of two threads."""
    network = Network(4, image=(2, 4, 12, 12))
    for name in ("convolution", "gate", "branches", "on_the_host", "residual", "given_out"):
        getattr(network, name)()
    artefact = finish(prepared(network, 1.0, folder), NNIE, Choice())
    write(artefact, folder / "network.npu")
    image = numbers(np.random.default_rng(2), network.image)
    found = []
    for isolate, threads in ((False, 1), (False, 2), (True, 1)):
        with create("npu0", "sim-npu", isolate=isolate, threads=threads) as engine:
            engine.init()
            engine.prepare(Program(folder / "network.npu", "sim-npu"))
            engine.set_tensor("image", image)
            engine.forward()
            found.append({name: engine.get_tensor(name) for name in artefact.outputs})
    assert_same(found[1], found[0])
    assert_same(found[2], found[0])
