"""Two networks on engines of two kinds in one graph: frames a second, and those of a plain loop.

The detector runs on ONNX Runtime, the network that looks at its objects on OpenVINO, with one
thread and, as by default, a worker a core. Decoding, the tracker and a file of results are in it.
"""

from __future__ import annotations

from pathlib import Path

import pipeline
from benchmarks.clips import clip
from benchmarks.harness import Options, Row
from benchmarks.mixed import row
from pipeline.graph import Graph


def rows(options: Options) -> list[Row]:
    """For a second network that costs about as much as the first, and for the cascade's."""
    path = clip(options.folder, options.take(30, 100))
    embed = "embed: {model: reid-pico, engine: second, when: always}"
    classify = "classify: {model: colour-pico, engine: second, of: [car, van, bus]}"
    return [
        row(options, _graph(options, path, embed), "detector, then embeddings of all objects"),
        row(options, _graph(options, path, classify), "detector, then colours of vehicles"),
    ]


def _graph(options: Options, path: Path, stage: str) -> Graph:
    return pipeline.build(
        pipeline.loads(
            f'cameras:\n  - {{id: street, uri: "{path}"}}\n'
            "engines:\n"
            "  first: {backend: onnxruntime, threads: 1}\n"
            "  second: {backend: openvino, threads: 1}\n"
            "stages:\n"
            "  detect: {model: street-pico, engine: first}\n"
            f"  {stage}\n"
            f'outputs:\n  - {{file: {{path: "{options.folder}/tracks.jsonl"}}}}\n'
        )
    )
