"""What an engine's calls cost over the backend's own, on a network that does nothing.

Processor time of set_tensor + forward + get_tensor, less that of `InferenceSession.run` with the
same session options, on the same input.
"""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

from benchmarks.harness import Goal, Options, Row, interleaved, per_call_us
from benchmarks.idle import relays
from engines.program import Network
from engines.registry import create


def rows(options: Options) -> list[Row]:
    """One row for a network with one output, one for a network with six."""
    return [_row(options, outputs) for outputs in (1, 6)]


def _row(options: Options, outputs: int) -> Row:
    path = relays(options.folder / f"relays-{outputs}.onnx", outputs)
    picture = np.zeros((1, 3, 8, 8), np.float32)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_outputs()]
    with create("cpu0", "onnxruntime", "cpu", threads=1) as engine:
        engine.init()
        engine.prepare(Network(path, "onnx"))

        def six_calls() -> None:
            engine.set_tensor("x", picture)
            engine.forward()
            for name in names:
                engine.get_tensor(name)

        calls = options.take(2000, 5000)
        numbers = interleaved(
            {
                "ours": per_call_us(six_calls, calls),
                "raw": per_call_us(lambda: session.run(names, {"x": picture}), calls),
            },
            options.take(5, 15),
        )
    extra = [a - b for a, b in zip(numbers["ours"], numbers["raw"], strict=True)]
    return Row(
        f"wrapper's cost a frame, {outputs} output{'s' * (outputs > 1)}",
        "µs",
        extra,
        "raw `session.run`",
        numbers["raw"],
        Goal("value", "at most", 20),
    )
