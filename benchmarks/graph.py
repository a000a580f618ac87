"""Throughput against the ideal of a machine whose cores all do nothing but work on frames.

Ideal frames a second = cores / processor time a frame in a serial loop over the same stages. The
graph is what a configuration gives: an inference worker a core, one thread each. Beside it the same
stages in a plain loop, and the design with one worker a stage and all cores inside the network.
The second row of each takes off the cores that everything else on the machine kept busy meanwhile,
which is not the graph's doing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pipeline
from benchmarks.clips import clip
from benchmarks.harness import Goal, Options, Row, Usage, interleaved
from pipeline.graph import Graph
from pipeline.serial import run_serially

SHIPPED = "street-pico"
REAL = "yolox-nano"


def rows(options: Options) -> list[Row]:
    """For each network and number of files: efficiency of each design."""
    networks = {SHIPPED: ""}
    if options.assets is not None:
        weights = options.assets / "models" / "yolox_nano" / "yolox_nano_opencv_zoo.onnx"
        networks[REAL] = f'weights: "{weights}", '
    return [
        row
        for network, weights in networks.items()
        for files in (1, 4)
        for row in _rows(options, network, weights, files)
    ]


@dataclass(frozen=True, slots=True)
class _Speed:
    """What one design did in one round.

    Attributes:
        fps: frames a second.
        cpu_s: processor seconds a frame.
        others: cores that everything else on the machine kept busy.
    """

    fps: float
    cpu_s: float
    others: float

    @staticmethod
    def of(usage: Usage, frames: int) -> _Speed:
        return _Speed(frames / usage.wall_s, usage.cpu_s / frames, usage.others)

    def efficiency(self, serial: _Speed, cores: float) -> float:
        """Percent of what `cores` could do that work as long on a frame as the serial loop."""
        return 100 * self.fps * serial.cpu_s / cores


def _rows(options: Options, network: str, weights: str, files: int) -> list[Row]:
    frames = options.take(120, 160) // files
    clips = [clip(options.folder, frames, seed=seed) for seed in range(1, files + 1)]
    cores = options.cores
    workers = _graph(options, clips, f"model: {network}, {weights}workers: {cores}", 1)
    stages = _graph(options, clips, f"model: {network}, {weights}workers: 1", cores)
    designs = {
        "serial": lambda: _serial(workers),
        "workers": lambda: _parallel(workers),
        "stages": lambda: _parallel(stages),
    }
    speeds = interleaved(designs, options.take(1, 5))
    all_cores, free_cores = (
        {
            name: [
                speed.efficiency(serial, cores - share * speed.others)
                for speed, serial in zip(found, speeds["serial"], strict=True)
            ]
            for name, found in speeds.items()
        }
        for share in (0, 1)
    )
    what = f"{network}, {files} file{'s' * (files > 1)}"
    return [
        Row(
            what,
            "%",
            all_cores["workers"],
            "serial loop",
            all_cores["serial"],
            Goal("value", "at least", 90),
        ),
        Row(
            f"{what}, of the cores that others left",
            "%",
            free_cores["workers"],
            "one worker a stage",
            free_cores["stages"],
        ),
    ]


def _serial(graph: Graph) -> _Speed:
    with run_serially(graph) as loop, Usage() as usage:
        frames = sum(1 for _ in loop)
    return _Speed.of(usage, frames)


def _parallel(graph: Graph) -> _Speed:
    """The supervisor's own clock starts when everything is open, as the serial loop's does."""
    with Usage() as usage:
        report = pipeline.run(graph)
    return _Speed(report.fps, report.cpu_s / report.emitted, usage.others)


def _graph(options: Options, clips: list[Path], detect: str, threads: int) -> Graph:
    cameras = "\n".join(f'  - {{id: c{index}, uri: "{path}"}}' for index, path in enumerate(clips))
    return pipeline.build(
        pipeline.loads(
            f"cameras:\n{cameras}\n"
            f"engines:\n  cpu0: {{backend: onnxruntime, device: cpu, threads: {threads}}}\n"
            f"stages:\n  detect: {{{detect}, engine: cpu0}}\n"
            f'outputs:\n  - {{file: {{path: "{options.folder}/tracks.jsonl"}}}}\n'
        )
    )
