"""A two-stage detector across a chip and the CPU: frames a second of the graph and of a plain loop.

Decoding, both networks, all that lies between and behind them, embeddings, the tracker and a file
of results. The chip is the simulated NPU, whose arithmetic this machine's cores do; so what is
gained is what threads and queues give on these cores, not what a chip would add.
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import pipeline
from benchmarks.clips import clip
from benchmarks.harness import Goal, Options, Row, interleaved
from pipeline.graph import Graph
from pipeline.serial import run_serially

#: Engines of the first and of the second network, and what to call that.
PLACEMENTS = {
    ("npu0", "cpu0"): "first network on the NPU, second on the CPU",
    ("cpu0", "npu0"): "first network on the CPU, second on the NPU",
    ("npu0", "npu1"): "each network on an NPU",
    ("cpu0", "cpu1"): "both networks on the CPU",
}


def rows(options: Options) -> list[Row]:
    """For each placement: frames a second in threads and in a loop."""
    path = clip(options.folder, options.take(30, 100))
    return [
        row(options, _graph(options, path, *engines), what) for engines, what in PLACEMENTS.items()
    ]


def row(options: Options, graph: Graph, what: str) -> Row:
    """Frames a second of a graph in threads, and of its stages in a plain loop."""
    designs = {"threads": lambda: pipeline.run(graph).fps, "loop": lambda: _serial(graph)}
    speeds = interleaved(designs, options.take(1, 5))
    goal = Goal("ratio", "at least", 1.5)
    return Row(what, "frames/s", speeds["threads"], "serial loop", speeds["loop"], goal)


def _serial(graph: Graph) -> float:
    with run_serially(graph) as loop:
        begun_s = monotonic()
        frames = sum(1 for _ in loop)
        return frames / (monotonic() - begun_s)


def _graph(options: Options, path: Path, first: str, second: str) -> Graph:
    return pipeline.build(
        pipeline.loads(
            f'cameras:\n  - {{id: street, uri: "{path}"}}\n'
            "engines:\n"
            "  npu0: {backend: sim-npu, profile: atlas500}\n"
            "  npu1: {backend: sim-npu, profile: atlas500}\n"
            "  cpu0: {backend: onnxruntime, threads: 1}\n"
            "  cpu1: {backend: onnxruntime, threads: 1}\n"
            "stages:\n"
            f"  backbone: {{model: street-duo-rpn, engine: {first}}}\n"
            f"  roi_head: {{model: street-duo-head, engine: {second}}}\n"
            "  boxes: {score: 0.3}\n"
            "  embed: {model: reid-pico, engine: cpu0}\n"
            f'outputs:\n  - {{file: {{path: "{options.folder}/tracks.jsonl"}}}}\n'
        )
    )
