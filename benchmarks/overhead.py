"""What the graph costs by itself: the whole chain with a network that does nothing.

A tiny clip through decode, preprocess, detect, postprocess, track, UDP and JSONL. Processor time a
frame of the graph, less that of the same stages in a plain loop: threads, queues, order, ledger,
metrics.
"""

from __future__ import annotations

import socket

import pipeline
from benchmarks.clips import clip
from benchmarks.harness import Goal, Options, Row, Usage, interleaved
from benchmarks.idle import SIDE, detector
from benchmarks.serial import run_serially
from pipeline.graph import Graph


def rows(options: Options) -> list[Row]:
    """The difference, and both sides of it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        graph = _graph(options, receiver.getsockname()[1])
        numbers = interleaved(
            {"graph": lambda: _graph_ms(graph), "loop": lambda: _loop_ms(graph)},
            options.take(3, 9),
        )
    difference = [g - loop for g, loop in zip(numbers["graph"], numbers["loop"], strict=True)]
    beside = "same stages in a plain loop"
    return [
        Row(
            "the graph's own cost a frame",
            "ms",
            difference,
            beside,
            numbers["loop"],
            Goal("value", "at most", 0.3),
        ),
        Row("the whole chain a frame", "ms", numbers["graph"], beside, numbers["loop"]),
    ]


def _graph_ms(graph: Graph) -> float:
    report = pipeline.run(graph)
    return report.cpu_s / report.emitted * 1e3


def _loop_ms(graph: Graph) -> float:
    with run_serially(graph) as loop, Usage() as usage:
        frames = sum(1 for _ in loop)
    return usage.cpu_s / frames * 1e3


def _graph(options: Options, port: int) -> Graph:
    video = clip(options.folder, options.take(500, 2000), SIDE, SIDE)
    model = detector(options.folder / "idle")
    return pipeline.build(
        pipeline.loads(
            f'cameras:\n  - {{id: tiny, uri: "{video}"}}\n'
            "engines:\n  cpu0: {backend: onnxruntime, device: cpu, threads: 1}\n"
            f'stages:\n  detect: {{model: "{model}", engine: cpu0}}\n'
            f'outputs:\n  - {{udp: {{to: "127.0.0.1:{port}"}}}}\n'
            f'  - {{file: {{path: "{options.folder}/overhead.jsonl"}}}}\n'
        )
    )
