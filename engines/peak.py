"""The peak of a device: matrix products, run through the engine that will run the networks."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from engines import registry
from engines.convert import convert
from engines.convert.graph import library
from engines.errors import EngineError
from engines.measure import Subject, measure
from engines.nvidia import gpu_memory
from engines.program import Network
from engines.tensor import TensorSpec

#: Channels in and out, and pixels of the 1x1 convolution that is the product of two such matrices;
#: how many follow each other. Another device gets its input over a bus, which takes longer than a
#: single product there.
ON_CPU, ELSEWHERE = (1024, 1), (2048, 64)


def peak_flops(backend: str, device: str = "cpu", workers: tuple[int, ...] = (1,)) -> float:
    """Floating-point operations a second in fp32, with the best number of workers.

    Raises:
        EngineError: the backend runs no networks, or not on this machine.
    """
    kind = registry.engine_class(backend)
    if not kind.formats:
        raise EngineError(f"{backend} runs no networks")
    size, count = ON_CPU if device == "cpu" else ELSEWHERE
    with TemporaryDirectory(prefix="sightline-peak-") as folder:
        network = _products(Path(folder), size, count)
        if "onnx" not in kind.formats:
            network = convert(network, kind.formats[0], Path(folder))
        subject = Subject(backend, network, device)
        image = np.ones(network.inputs[0].shape, np.float32)
        return measure(subject, {"matrix": image}, workers, 1.0).best_fps * 2 * size**3 * count


def device_memory(device: str) -> int | None:
    """Bytes of memory a device has; None where this machine does not tell."""
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return _host_memory()
    if kind == "cuda":
        return dict(enumerate(gpu_memory())).get(int(index or 0))
    return None


def _products(folder: Path, size: int, count: int) -> Network:
    onnx = library("a matrix product as a network")
    from onnx import TensorProto, helper, numpy_helper

    shape = (1, size, 32, size // 32)
    weight = np.full((size, size, 1, 1), 1 / size, np.float32)
    names = ["matrix", *(f"product{number}" for number in range(1, count)), "product"]
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ("matrix", "product")
    ]
    graph = helper.make_graph(
        [helper.make_node("Conv", [a, "weight"], [b]) for a, b in pairwise(names)],
        "products",
        tensors[:1],
        tensors[1:],
        [numpy_helper.from_array(weight, "weight")],
    )
    path = folder / "products.onnx"
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    inputs, outputs = (
        (TensorSpec(name, shape, np.dtype("float32"), "nchw"),) for name in ("matrix", "product")
    )
    return Network(path, "onnx", inputs, outputs, precision="fp32")


def _host_memory() -> int | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    return int(text.partition("MemTotal:")[2].split()[0]) * 1024
