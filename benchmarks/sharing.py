"""Two networks on two engines in one graph, and two pipelines on one engine.

Two networks: the detector on ONNX Runtime and the ReID network on OpenVINO, one thread each, as a
graph against the same stages in a plain loop. Two pipelines: two whole graphs at once in one
process, whose engines share one loaded network, against one graph alone with all the workers; a
frame of either counts.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import engines
import pipeline
from benchmarks.clips import clip
from benchmarks.harness import Goal, Options, Row, interleaved
from pipeline.graph import Graph
from pipeline.serial import run_serially


def rows(options: Options) -> list[Row]:
    """What the machine allows: OpenVINO and the real networks where they are there."""
    pairs = [] if _missing("openvino") else [_two_networks(options)]
    return [*pairs, *(_two_pipelines(options, backend) for backend in _installed())]


def _missing(backend: str) -> str:
    return engines.engine_class(backend).describe().missing


def _installed() -> list[str]:
    return [name for name in ("onnxruntime", "openvino") if not _missing(name)]


def _two_networks(options: Options) -> Row:
    clips = [clip(options.folder, options.take(120, 300))]
    detect, embed = "street-pico", "reid-pico"
    if options.assets is not None:
        clips = [options.assets / "videos" / "TUD-Stadtmitte.mp4"]
        models = options.assets / "models"
        detect = f'yolox-nano, weights: "{models}/yolox_nano/yolox_nano_opencv_zoo.onnx"'
        embed = f'osnet-x0-25, weights: "{models}/reid/osnet_x0_25_msmt17.onnx"'
    graph = _graph(
        options,
        clips,
        f"  detect: {{model: {detect}, engine: one, workers: auto}}\n"
        "  postprocess: {classes: [person]}\n"
        f"  embed: {{model: {embed}, engine: other, workers: auto}}\n",
        "  other: {backend: openvino, threads: 1}\n",
    )
    speeds = interleaved(
        {"graph": lambda: _fps(graph), "loop": lambda: _loop_fps(graph)}, options.take(1, 5)
    )
    return Row(
        "two networks on two engines",
        "frames/s",
        speeds["graph"],
        "same stages in a plain loop",
        speeds["loop"],
        Goal("ratio", "at least", 1.5),
    )


def _two_pipelines(options: Options, backend: str) -> Row:
    frames = options.take(120, 400)
    clips = [clip(options.folder, frames, seed=seed) for seed in (1, 2)]
    stages = "  detect: {model: street-pico, engine: one, workers: %d}\n"
    alone = _graph(options, clips, stages % options.cores, backend=backend)
    halves = [_graph(options, [c], stages % 1, backend=backend) for c in clips]
    speeds = interleaved(
        {"both": lambda: _together_fps(halves), "alone": lambda: _fps(alone)}, options.take(1, 5)
    )
    return Row(
        f"two pipelines on one engine, {backend}",
        "frames/s",
        speeds["both"],
        "one pipeline with all workers",
        speeds["alone"],
        Goal("ratio", "at least", 0.9),
    )


def _fps(graph: Graph) -> float:
    return pipeline.run(graph).fps


def _together_fps(graphs: list[Graph]) -> float:
    """From the first start to the last end, so that loading twice counts against us."""
    started = time.perf_counter()
    with ThreadPoolExecutor(len(graphs)) as pool:
        reports = list(pool.map(pipeline.run, graphs))
    return sum(report.emitted for report in reports) / (time.perf_counter() - started)


def _loop_fps(graph: Graph) -> float:
    with run_serially(graph) as loop:
        started = time.perf_counter()
        frames = sum(1 for _ in loop)
        return frames / (time.perf_counter() - started)


def _graph(
    options: Options, clips: list[Path], stages: str, more: str = "", backend: str = "onnxruntime"
) -> Graph:
    cameras = "\n".join(f'  - {{id: c{index}, uri: "{path}"}}' for index, path in enumerate(clips))
    name = f"sharing-{len(clips)}-{clips[0].stem}.csv"
    return pipeline.build(
        pipeline.loads(
            f"cameras:\n{cameras}\n"
            f"engines:\n  one: {{backend: {backend}, threads: 1}}\n{more}"
            f'stages:\n{stages}outputs:\n  - {{file: {{path: "{options.folder}/{name}"}}}}\n'
        )
    )
