"""Archives: `sightline batch` beside what people would write or install, on the same videos.

720p files through YOLOv8n's graph (416x416, made by the peer's exporter): whole processes, from
start to end, in frames a second. Its weights are random, so nobody detects anything and the
trackers have nothing to do. The
plain loop is OpenCV's `VideoCapture`, ONNX Runtime with all cores and OpenCV's suppression, without
a tracker. Decoding alone is PyAV with all cores.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import onnxruntime

from benchmarks.clips import clip
from benchmarks.harness import Goal, Options, Row, interleaved
from benchmarks.peers.environments import PIPELINES, interpreters

_SIZE, _CLASSES = 416, 80
_CONFIG = """\
engines: {{cpu0: {{backend: onnxruntime, device: cpu, threads: 1}}}}
stages: {{detect: {{model: "{model}", engine: cpu0}}, track: {{}}}}
batch: {{thumbnails: 0}}
"""
_MODEL = """\
schema: 1
name: peer
task: detect
description: "The network that all take"
licence: "none"
source: "made by the exporter, with random weights"
labels: coco80
files: [{{path: peer.onnx, format: onnx, size: {bytes}, sha256: {sha256}}}]
inputs: [{{name: images, shape: [1, 3, {size}, {size}], dtype: float32, layout: nchw}}]
outputs: [{{name: output0, shape: [1, {rows}, {columns}], dtype: float32}}]
preprocess: {{resize: letterbox, pad: 114, color: rgb, scale: 0.00392156862745098}}
head: {{family: yolov8}}
"""
_PEER = Path(__file__).with_name("peers") / "ultralytics_track.py"


def rows(options: Options) -> list[Row]:
    """Our frames a second beside each of the others', and beside ours with one process."""
    peer = interpreters(options.peers, PIPELINES).get("ultralytics")
    if peer is None:
        raise SystemExit("archive needs the peer ultralytics; see `python -m benchmarks.peers`")
    count, frames = options.take(2, 4), options.take(60, 300)
    videos = [clip(options.folder, frames, 1280, 720, seed) for seed in range(1, count + 1)]
    weights = options.folder / "peer.onnx"
    _run(peer, _PEER, "export", weights, _SIZE)
    config = _config(options.folder, weights)
    here = (Path(sys.executable), "-m", "benchmarks.archive")
    subjects: dict[str, Callable[[], None]] = {
        "ours": partial(_batch, options.folder, config, videos, options.cores),
        "one process": partial(_batch, options.folder, config, videos, 1),
        "ultralytics": partial(_run, peer, _PEER, "track", weights, _SIZE, *videos),
        "loop": partial(_run, *here, "loop", weights, *videos),
        "decode": partial(_run, *here, "decode", *videos),
    }
    speeds = interleaved(
        {name: partial(_fps, subject, count * frames) for name, subject in subjects.items()},
        options.take(1, 3),
    )
    ours = speeds["ours"]
    what = f"{count} files of {frames} frames, {options.cores} processes"
    named = {
        "ultralytics track, ONNX": ("ultralytics", Goal("ratio", "at least", 1.0)),
        "plain OpenCV loop, no tracker": ("loop", Goal("ratio", "at least", 1.0)),
        "decoding alone": ("decode", None),
        "one process": ("one process", None),
    }
    return [
        Row(what, "fps", ours, beside, speeds[name], goal) for beside, (name, goal) in named.items()
    ]


def _fps(subject: Callable[[], None], frames: int) -> float:
    began_s = time.perf_counter()
    subject()
    return frames / (time.perf_counter() - began_s)


def _batch(folder: Path, config: Path, videos: Sequence[Path], processes: int) -> None:
    program = (Path(sys.executable), "-m", "pipeline.cli.main", "batch", "--quiet", "--force")
    _run(*program, "--processes", processes, config, *videos, "-o", folder / f"out-{processes}")


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


def _config(folder: Path, weights: Path) -> Path:
    model = folder / "peer" / "model.yaml"
    model.parent.mkdir(exist_ok=True)
    data = weights.read_bytes()
    (model.parent / "peer.onnx").write_bytes(data)
    facts = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    columns = sum((_SIZE // stride) ** 2 for stride in (8, 16, 32))
    model.write_text(_MODEL.format(**facts, size=_SIZE, rows=4 + _CLASSES, columns=columns))
    path = folder / "archive.yaml"
    path.write_text(_CONFIG.format(model=model.parent))
    return path


def _loop(weights: str, *videos: str) -> None:
    """What a tutorial would do."""
    session = onnxruntime.InferenceSession(weights, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    for video in videos:
        capture, lines = cv2.VideoCapture(video), []
        while (read := capture.read())[0]:
            blob = cv2.dnn.blobFromImage(read[1], 1 / 255, (_SIZE, _SIZE), swapRB=True)
            columns = session.run(None, {name: blob})[0][0]
            scores = columns[4:].max(axis=0)
            kept = columns[:, scores > 0.25]
            best = cv2.dnn.NMSBoxes(kept[:4].T.tolist(), kept[4:].max(axis=0).tolist(), 0.25, 0.5)
            lines.append(json.dumps(kept[:, np.array(best, int)].T.tolist()))
        Path(video).with_suffix(".loop").write_text("\n".join(lines))


def _decode(*videos: str) -> None:
    for video in videos:
        with av.open(video) as container:
            container.streams.video[0].thread_type = "AUTO"
            for _ in container.decode(video=0):
                pass


if __name__ == "__main__":
    {"loop": _loop, "decode": _decode}[sys.argv[1]](*sys.argv[2:])
