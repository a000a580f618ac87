"""A two-stage detector across a chip and the CPU: frames a second of the graph and of a plain loop.

Decoding, both networks, all that lies between and behind them, embeddings, the tracker and a file
of results. The chip is the simulated NPU, whose arithmetic this machine's cores do; so what is
gained is what threads and queues give on these cores, not what a chip would add. A small detector
gains less: half of its frame is Python, which holds one lock, and only networks run beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

import pipeline
from benchmarks import d2go
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
_PROFILE = "atlas500"


@dataclass(frozen=True, slots=True)
class _Detector:
    """A two-stage detector and what it is shown.

    Attributes:
        name: for the table.
        camera: keys of the camera.
        first: keys of the backbone, by the kind of its engine.
        second: keys of the head, likewise.
        rest: the other stages.
    """

    name: str
    camera: str
    first: dict[str, str]
    second: dict[str, str]
    rest: str


def rows(options: Options) -> list[Row]:
    """For each detector and placement: frames a second in threads and in a loop."""
    return [
        row(options, _graph(options, detector, *engines), f"{detector.name}: {what}")
        for detector in _detectors(options)
        for engines, what in PLACEMENTS.items()
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


def _detectors(options: Options) -> Iterator[_Detector]:
    """Ours, small; and D2Go, where it is."""
    path = clip(options.folder, options.take(30, 100))
    first, second = ("model: street-duo-rpn", "model: street-duo-head")
    yield _Detector(
        "street-duo",
        f'uri: "{path}"',
        {"npu": first, "cpu": first},
        {"npu": second, "cpu": second},
        "  boxes: {score: 0.3}\n  embed: {model: reid-pico, engine: cpu0}\n",
    )
    if options.assets is None:
        return
    halves: list[dict[str, str]] = []
    for half, model in enumerate(("d2go-rpn", "d2go-head")):
        network = d2go.network(options.assets, half + 1)
        inputs = d2go.recorded(options.assets)[half]
        device = d2go.compiled(network, inputs, options.folder, "min-max", _PROFILE)
        paths = {"cpu": network.path, "npu": device.path}
        halves.append({kind: f'model: {model}, weights: "{at}"' for kind, at in paths.items()})
    yield _Detector(
        "D2Go",
        f'uri: "{options.assets}/videos/TUD-Stadtmitte.mp4", end_s: {options.take(1, 3)}',
        *halves,
        f"  preprocess: {{size: [{d2go.WIDTH}, {d2go.HEIGHT}]}}\n"
        "  boxes: {score: 0.9, classes: [person]}\n",
    )


def _graph(options: Options, detector: _Detector, first: str, second: str) -> Graph:
    npu = f"{{backend: sim-npu, profile: {_PROFILE}}}"
    return pipeline.build(
        pipeline.loads(
            f"cameras:\n  - {{id: street, {detector.camera}}}\n"
            f"engines:\n  npu0: {npu}\n  npu1: {npu}\n"
            "  cpu0: {backend: onnxruntime, threads: 1}\n"
            "  cpu1: {backend: onnxruntime, threads: 1}\n"
            "stages:\n"
            f"  backbone: {{{detector.first[first[:3]]}, engine: {first}}}\n"
            f"  roi_head: {{{detector.second[second[:3]]}, engine: {second}}}\n"
            f"{detector.rest}"
            f'outputs:\n  - {{file: {{path: "{options.folder}/tracks.jsonl"}}}}\n'
        )
    )
