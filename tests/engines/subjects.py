"""What the contract is held against: every backend, and the wrappers that pose as one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import engines
from engines import Kernel, Network, Program, TensorSpec
from engines.kserve.engine import AS_SERVED
from engines.program import Tensors
from engines.sim_npu.artefact import write
from engines.sim_npu.compiler.compile import compile_network
from engines.sim_npu.profiles import find
from engines.sim_npu.runtime.options import SimNpuOptions
from tests.engines import serving

WEIGHT = np.linspace(-1, 1, 4 * 3 * 3 * 3, dtype=np.float32).reshape(4, 3, 3, 3)
SHAPE = (1, 3, 8, 10)
IMAGE = TensorSpec("image", SHAPE, np.dtype("float32"), "nchw")


@dataclass(frozen=True)
class Subject:
    """One thing that must behave like an engine.

    Attributes:
        name: as in the table of docs/engines.md.
        backend: as in a configuration.
        program: turns an ONNX network into what the backend runs; the folder is for its files.
        create: makes an engine with this id.
        device: of that engine.
        files: whether its programs are files that can be damaged.
        dynamic: which free axes it takes: `n` for the batch, `nhw` for any.
        cycles: how often it is loaded to see whether memory stays flat.
        precision: it reports for the small network.
    """

    name: str
    backend: str
    program: Callable[[Network, Path], Program]
    create: Callable[[str], engines.Engine]
    device: str = "cpu"
    files: bool = True
    cycles: int = 200
    precision: str = "fp32"

    def __str__(self) -> str:
        return self.name


def picture(seed: int = 0, batch: int = 1) -> np.ndarray:
    shape = (batch, *SHAPE[1:])
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def specs(batch: int = 1, height: int = 8, width: int = 10) -> tuple[tuple[TensorSpec, ...], ...]:
    """Inputs and outputs of the small network, -1 where an axis is free."""
    image = replace(IMAGE, shape=(batch, 3, height, width))
    outputs = (
        TensorSpec(name, (batch, 4, height, width), np.dtype("float32"))
        for name in ("features", "positive")
    )
    return (image,), tuple(outputs)


def small_network(folder: Path, batch: int = 1, height: int = 8, width: int = 10) -> Network:
    """image → 3x3 convolution → features → rectified → positive, as ONNX."""

    def info(spec: TensorSpec) -> onnx.ValueInfoProto:
        shape = [f"{spec.name}{i}" if n < 0 else n for i, n in enumerate(spec.shape)]
        return helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, shape)

    inputs, outputs = specs(batch, height, width)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "w"], ["features"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["features"], ["positive"]),
        ],
        "convolution",
        list(map(info, inputs)),
        list(map(info, outputs)),
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "convolution.onnx"
    onnx.save(model, path)
    return Network(path, "onnx", inputs, outputs, precision="fp32")


def expected_features(image: np.ndarray) -> np.ndarray:
    """The convolution written out, in float64."""
    height, width = image.shape[2:]
    padded = np.pad(image.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(image), 4, height, width))
    for y in range(3):
        for x in range(3):
            patch = padded[:, :, y : y + height, x : x + width]
            out += np.einsum("oc,nchw->nohw", WEIGHT[:, :, y, x].astype(np.float64), patch)
    return out


def _in_own_format(backend: str) -> Callable[[Network, Path], Program]:
    """The ONNX network itself, or converted to the first format the backend loads."""
    formats = engines.engine_class(backend).formats
    if "onnx" in formats:
        return lambda network, folder: network

    def converted(network: Network, folder: Path) -> Network:
        from engines.convert import convert

        folder.mkdir(parents=True, exist_ok=True)
        return convert(network, formats[0], folder)

    return converted


def _compiled(network: Network, folder: Path) -> Network:
    """For the simulated device, calibrated on the pictures that the contract shows."""
    profile = find(SimNpuOptions().target)
    inputs = [{"image": picture(seed)} for seed in range(3)]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "convolution.slnpu"
    write(compile_network(network.path, profile, inputs), path)
    return replace(network, path=path, format="sim-npu", precision=profile.precision)


def _as_kernel(network: Network, folder: Path) -> Kernel:
    """The small network in numpy, for the engine that runs functions."""

    def function(tensors: Tensors) -> Tensors:
        features = expected_features(tensors["image"]).astype(np.float32)
        return {"features": features, "positive": np.maximum(features, 0)}

    return Kernel("convolution", {}, network.inputs, network.outputs, function)


def _kserve(protocol: str) -> Subject:
    """A real server of KServe's protocol, which runs ONNX Runtime."""

    def served(network: Network, folder: Path) -> Network:
        name = hashlib.sha256(network.path.read_bytes()).hexdigest()[:16]
        serving.shared_server().host(network.path, name)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "remote.yaml"
        path.write_text(f"model: '{name}'\n")
        return replace(network, path=path, format="kserve")

    def make(engine_id: str) -> engines.Engine:
        return engines.create(engine_id, "kserve", serving.shared_server().address(protocol))

    return Subject(f"kserve ({protocol})", "kserve", served, make, files=False, precision=AS_SERVED)


def _subject(backend: str, device: str = "cpu") -> Subject:
    make = lambda id_: engines.create(id_, backend, device)  # noqa: E731 - a field, not a function
    if backend == "host":
        return Subject(backend, backend, _as_kernel, make, files=False)
    if backend == "sim-npu":
        return Subject(backend, backend, _compiled, make, precision="int8")
    name = backend if device == "cpu" else f"{backend} on {device}"
    return Subject(name, backend, _in_own_format(backend), make, device=device)


def _isolated(backend: str) -> Subject:
    """A backend in a process of its own."""
    make = lambda id_: engines.create(id_, backend, isolate=True)  # noqa: E731 - a field
    return Subject(f"{backend}, isolated", backend, _in_own_format(backend), make, cycles=20)


def subjects() -> list[Subject]:
    """All that is installed here, on the CPU and on the first of NVIDIA's GPUs."""
    found = {info.name: info.devices for info in engines.describe() if not info.missing}
    local = [
        _subject(name, device)
        for name, devices in found.items()
        for device in ("cpu", "cuda:0")
        if device in devices
    ]
    local.append(_isolated("onnxruntime"))
    if "kserve" not in found or serving.missing():
        return local
    return [*local, _kserve("grpc"), _kserve("http")]
