"""What the graph costs by itself, in processor time a frame.

First seven stages that do nothing: threads, queues, order, ledger, metrics, and nothing else. Then
the whole chain (decode, preprocess, detect, postprocess, track, UDP, JSONL) on a tiny clip with a
network that does nothing, as fast as it goes, less the same stages in a plain loop. The second
number has in it what the interpreter lock costs when seven threads want it all the time: each of
some forty calls a frame that lets go of the lock (in OpenCV, numpy, PyAV) has to wait and be woken
to get it back. A network that works for milliseconds outside the lock leaves little of that.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

import pipeline
from benchmarks.clips import clip
from benchmarks.harness import Goal, Options, Row, Usage, interleaved
from benchmarks.idle import SIDE, detector
from pipeline.graph import Camera, Graph, Node
from pipeline.media.picture import BgrPicture
from pipeline.media.source import Source, SourceFrame, SourceInfo
from pipeline.packet import Packet
from pipeline.payloads import Decoded
from pipeline.serial import run_serially
from pipeline.stage import Sink, Stage

_STAGES = 6  # and the sink


def rows(options: Options) -> list[Row]:
    """The difference, and both sides of it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        graph = _graph(options, receiver.getsockname()[1])
        numbers = interleaved(
            {
                "bare": lambda: _graph_ms(_bare(options.take(2000, 5000))),
                "graph": lambda: _graph_ms(graph),
                "loop": lambda: _loop_ms(graph),
            },
            options.take(3, 9),
        )
    difference = [g - loop for g, loop in zip(numbers["graph"], numbers["loop"], strict=True)]
    beside = "same stages in a plain loop"
    goal = Goal("value", "at most", 0.3)
    return [
        Row("seven stages that do nothing, a frame", "ms", numbers["bare"], goal=goal),
        Row(
            "the whole chain with an idle network, less a loop",
            "ms",
            difference,
            beside,
            numbers["loop"],
            goal,
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


class _Frames(Source):
    """The same picture again and again."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self._picture = BgrPicture(np.zeros((SIDE, SIDE, 3), np.uint8))

    def open(self) -> SourceInfo:
        return SourceInfo(SIDE, SIDE, None, self._count, None, "none", False, "none")

    def frames(self) -> Iterator[SourceFrame]:
        for index in range(self._count):
            yield SourceFrame(index, index, self._picture)

    def interrupt(self) -> None:
        self._count = 0

    def close(self) -> None:
        self._count = 0


class _Pass(Stage[Decoded, Decoded]):
    consumes = Decoded
    produces = Decoded

    def process(self, packet: Packet[Decoded]) -> Iterable[Packet[Decoded]]:
        return (packet,)


class _End(Sink[Decoded]):
    consumes = Decoded

    def write(self, packet: Packet[Decoded]) -> None:
        del packet


def _bare(frames: int) -> Graph:
    """A chain of stages that do nothing."""
    names = ["decode", *(f"stage {number}" for number in range(_STAGES))]
    chain = [Node(name, _Pass, lambda run: _Pass(), (before,)) for before, name in pairwise(names)]
    end = Node("end", _End, lambda run: _End(), (names[-1],))
    return Graph((Camera("idle", "idle", lambda: _Frames(frames)),), (*chain, end))
