"""What an engine's calls cost over the backend's own, on a network that does nothing.

Processor time of set_tensor + forward + get_tensor, less that of the shortest correct calls of the
library itself (`benchmarks/raw.py`) on the same network, with the same options and input, outputs
in arrays that stay the caller's on both sides. One thread, [1, 3, 8, 8] in and out. Beside "bound
buffers" the library's own calls have all their tensors bound beforehand; ours are the same calls as
ever.

Then, on tensors of street-pico's shapes: what a process of its own adds to each frame (`isolate`,
by the clock on the wall, since two processes work in turn), and a second healthy engine in a
failover list.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import raw
from benchmarks.harness import Goal, Options, Row, interleaved, per_call_us
from benchmarks.idle import relays, silent
from engines.base import Engine
from engines.convert import convert
from engines.failover import Candidate, Failover
from engines.program import Kernel, Network, Program
from engines.registry import create, engine_class
from engines.tensor import TensorSpec
from pipeline.models.package import load_model

FLOAT = np.dtype("float32")
SHAPE = (1, 3, 8, 8)
#: Backend → the library's own calls, and those with bound buffers where it has such.
RAW: dict[str, tuple[Callable[[Network], raw.Run], ...]] = {
    "onnxruntime": (raw.onnxruntime, raw.onnxruntime_bound),
    "openvino": (raw.openvino, raw.openvino_bound),
    "ncnn": (raw.ncnn,),
    "mnn": (raw.mnn,),
    "litert": (raw.litert,),
    "torch": (raw.torch,),
    "opencv": (raw.opencv,),
    "tvm": (raw.tvm,),
}
OPTIONS: dict[str, dict[str, Any]] = {"openvino": {"streams": 1}}


def rows(options: Options) -> list[Row]:
    """Every backend there is, with one output and with six; isolation; failover."""
    found = []
    for outputs in (1, 6):
        network = relays_network(options.folder, outputs)
        for backend in (name for name in RAW if not engine_class(name).describe().missing):
            found += _rows(options, backend, network)
        found.append(_host_row(options, network))
    return [*found, _isolated(options), _failover(options)]


def relays_network(folder: Path, outputs: int) -> Network:
    """Hands its input ``x`` on to each output, as ONNX."""
    specs = [TensorSpec(name, SHAPE, FLOAT) for name in ("x", *(f"y{i}" for i in range(outputs)))]
    path = relays(folder / f"relays-{outputs}.onnx", outputs)
    return Network(path, "onnx", tuple(specs[:1]), tuple(specs[1:]), precision="fp32")


def in_own_format(backend: str, network: Network, folder: Path) -> Network:
    """The ONNX network as the backend loads it, its files in a folder of the folder."""
    formats = engine_class(backend).formats
    if "onnx" in formats:
        return network
    own = folder / f"{backend}-{len(network.outputs)}"
    own.mkdir()
    return convert(network, formats[0], own)


def _rows(options: Options, backend: str, network: Network) -> list[Row]:
    """One row for each way to call the library itself."""
    network = in_own_format(backend, network, options.folder)
    found = []
    for kind, library in zip(("", ", bound buffers"), RAW[backend], strict=False):
        goal = Goal("value", "at most", 10 if kind else 20)
        found.append(
            _row(options, backend, network, f"its own calls{kind}", library(network), goal)
        )
    return found


def _host_row(options: Options, network: Network) -> Row:
    names = [spec.name for spec in network.outputs]
    kernel = Kernel(
        "relays",
        inputs=network.inputs,
        outputs=network.outputs,
        function=lambda tensors: {name: np.maximum(tensors["x"], 0) for name in names},
    )
    goal = Goal("value", "at most", 20)
    return _row(options, "host", kernel, "its function", raw.host(kernel), goal)


def _row(
    options: Options, backend: str, program: Network | Kernel, beside: str, run: raw.Run, goal: Goal
) -> Row:
    picture = np.random.default_rng(0).normal(size=SHAPE).astype(FLOAT)
    with _prepared(backend, program) as engine:
        ours = _calls(engine, picture)
        calls = options.take(1000, 5000)
        numbers = interleaved(
            {
                "ours": per_call_us(ours, calls),
                "raw": per_call_us(lambda: run(picture), calls),
            },
            options.take(5, 15),
        )
    outputs = len(program.outputs)
    return Row(
        f"{backend}, wrapper's cost a frame, {outputs} output{'s' * (outputs > 1)}",
        "µs",
        [a - b for a, b in zip(numbers["ours"], numbers["raw"], strict=True)],
        beside,
        numbers["raw"],
        goal,
    )


def _isolated(options: Options) -> Row:
    network = _silent_pico(options.folder)
    picture = np.zeros(network.inputs[0].shape, FLOAT)
    with (
        _prepared("onnxruntime", network, isolate=True) as apart,
        _prepared("onnxruntime", network) as here,
    ):
        calls = options.take(300, 1000)
        numbers = interleaved(
            {
                "apart": per_call_us(_calls(apart, picture), calls, "wall_s"),
                "here": per_call_us(_calls(here, picture), calls, "wall_s"),
            },
            options.take(5, 15),
        )
    extra = [a - b for a, b in zip(numbers["apart"], numbers["here"], strict=True)]
    return Row(
        "onnxruntime, isolated, cost a frame", "µs", extra, "in this process", numbers["here"]
    )


def _failover(options: Options) -> Row:
    network = _silent_pico(options.folder)
    inputs = {network.inputs[0].name: np.zeros(network.inputs[0].shape, FLOAT)}
    candidates = [
        Candidate(name, partial(create, name, "onnxruntime"), network) for name in ("cpu0", "cpu1")
    ]
    lists = {count: Failover(candidates[:count]) for count in (1, 2)}
    for engines in lists.values():
        engines.open()
    calls = options.take(1000, 5000)
    numbers = interleaved(
        {
            str(count): per_call_us(partial(engines.run, inputs), calls)
            for count, engines in lists.items()
        },
        options.take(5, 15),
    )
    for engines in lists.values():
        engines.close()
    extra = [a - b for a, b in zip(numbers["2"], numbers["1"], strict=True)]
    return Row(
        "a second healthy engine in a failover list, cost a frame",
        "µs",
        extra,
        "one engine",
        numbers["1"],
    )


def _silent_pico(folder: Path) -> Network:
    """Takes and gives tensors of street-pico's shapes, and does nothing in between."""
    shipped = load_model("street-pico").variants[0]
    shapes = [
        {spec.name: [abs(n) for n in spec.shape] for spec in specs}
        for specs in (shipped.inputs, shipped.outputs)
    ]
    inputs, outputs = (
        tuple(TensorSpec(name, tuple(shape), FLOAT) for name, shape in named.items())
        for named in shapes
    )
    path = silent(folder / "silent-pico.onnx", *shapes)
    return Network(path, "onnx", inputs, outputs, precision="fp32")


def _prepared(backend: str, program: Program, isolate: bool = False) -> Engine:
    engine = create("cpu0", backend, isolate=isolate, **OPTIONS.get(backend, {}))
    engine.init()
    engine.prepare(program)
    return engine


def _calls(engine: Engine, picture: raw.Image) -> Callable[[], None]:
    """What a caller does for each frame."""
    name = engine.inputs[0].name
    names = [spec.name for spec in engine.outputs]

    def calls() -> None:
        engine.set_tensor(name, picture)
        engine.forward()
        for name_ in names:
            engine.get_tensor(name_)

    return calls
