"""What lies between the networks of a two-stage detector, on one core.

Processor time a frame for a picture of 576x320 at stride 16: 10800 anchors become 100 proposals,
and the features under these, 112 channels, become 100 maps of 6x6. Beside our own code the same as
kernels of ONNX Runtime, and with OpenCV's suppression in place of ours. The outputs are made up:
boxes crowd around thirty objects, so that proposals suppress each other as they do in a street.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Goal, Options, Row, interleaved, per_call_us
from engines.program import Kernel, Tensors
from engines.registry import create
from pipeline.detection.anchors import Anchors
from pipeline.detection.boxes import clip
from pipeline.detection.deltas import decode, encode
from pipeline.detection.proposals import ProposalSpec, propose
from pipeline.detection.pyramid import Pooling, pooled
from pipeline.detection.roi_pool import roi_pool
from pipeline.kernels.pooling import pooling
from pipeline.kernels.proposals import proposals

Floats = NDArray[np.float32]

WIDTH, HEIGHT, STRIDE = 576, 320, 16
ROWS, COLUMNS, CHANNELS = HEIGHT // STRIDE, WIDTH // STRIDE, 112
ANCHORS = Anchors((32, 64, 96, 128, 160), (0.5, 1, 2), STRIDE)
SPEC = ProposalSpec((ANCHORS,), keep=100)
POOLING = Pooling(6, 6, (STRIDE,))
OBJECTS = 30
#: Milliseconds that each may take.
PROPOSE_MS, ALIGN_MS = 2.0, 3.0


def rows(options: Options) -> list[Row]:
    """Proposals, then pooling."""
    objectness, deltas = outputs()
    found = propose(SPEC, [objectness], [deltas], WIDTH, HEIGHT)
    boxes = found.boxes_xyxy
    cells = np.random.default_rng(1).normal(size=(ROWS, COLUMNS, CHANNELS))
    features = _as_map(cells)
    with_runtime = _on_onnxruntime(
        proposals(SPEC, [(ROWS, COLUMNS)], WIDTH, HEIGHT),
        {"objectness0": objectness, "deltas0": deltas},
    )
    align_with_runtime = _on_onnxruntime(
        pooling(POOLING, CHANNELS), {"boxes": boxes, "features0": features}
    )
    count = ROWS * COLUMNS * ANCHORS.per_cell
    return [
        *_rows(
            options,
            f"{count} anchors to {len(boxes)} proposals",
            lambda: propose(SPEC, [objectness], [deltas], WIDTH, HEIGHT),
            {
                "kernel proposals on ONNX Runtime": with_runtime,
                "every anchor decoded, cv2.dnn.NMSBoxes": lambda: _with_opencv(objectness, deltas),
            },
            Goal("value", "at most", PROPOSE_MS),
        ),
        *_rows(
            options,
            f"RoIAlign of {len(boxes)} boxes, {CHANNELS}x{ROWS}x{COLUMNS} to 6x6",
            lambda: pooled(POOLING, [features], boxes),
            {
                "kernel roi-align on ONNX Runtime": align_with_runtime,
                "RoI pooling of the same": lambda: roi_pool(features, boxes, 6, 6, 1 / STRIDE),
            },
            Goal("value", "at most", ALIGN_MS),
        ),
    ]


def outputs() -> tuple[Floats, Floats]:
    """Objectness and deltas of a network that sees `OBJECTS` objects, the surer the nearer."""
    random = np.random.default_rng(0)
    low = random.uniform(0, (WIDTH - 60, HEIGHT - 60), (OBJECTS, 2))
    objects = np.concatenate([low, low + random.uniform(20, 160, (OBJECTS, 2))], 1)
    anchors = ANCHORS.grid(ROWS, COLUMNS)
    distance = np.abs(anchors[:, None] - objects.astype(np.float32)).sum(axis=2)
    wanted = objects[distance.argmin(axis=1)].astype(np.float32)
    wanted += random.normal(0, 3 + distance.min(axis=1)[:, None] / 20, wanted.shape)
    wanted[:, 2:] = np.maximum(wanted[:, 2:], wanted[:, :2] + 4)
    deltas = encode(wanted.astype(np.float32), anchors).reshape(ROWS, COLUMNS, -1)
    objectness = 4 - distance.min(axis=1) / 30 + random.normal(0, 0.3, len(anchors))
    return _as_map(objectness.reshape(ROWS, COLUMNS, -1)), _as_map(deltas)


def _as_map(cells: NDArray[Any]) -> Floats:
    return np.ascontiguousarray(cells.transpose(2, 0, 1)[None], np.float32)


def _with_opencv(objectness: Floats, deltas: Floats) -> Floats:
    """The same without leaving anything out before it is decoded."""
    scores = objectness[0].transpose(1, 2, 0).ravel()
    moves = deltas.reshape(ANCHORS.per_cell, 4, -1).transpose(2, 0, 1).reshape(-1, 4)
    boxes = clip(decode(moves, ANCHORS.grid(ROWS, COLUMNS)), WIDTH, HEIGHT)
    low, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    lengths: Any = np.concatenate([low, size], axis=1)
    positive: Any = scores - scores.min()
    kept = cv2.dnn.NMSBoxes(lengths, positive, 0, SPEC.nms_iou, top_k=SPEC.candidates)
    best: Floats = boxes[np.asarray(kept)[: SPEC.keep]]
    return best


def _on_onnxruntime(kernel: Kernel, tensors: Tensors) -> Callable[[], object]:
    engine = create("e", "onnxruntime", threads=1)
    engine.init()
    engine.prepare(kernel)

    def run() -> object:
        for name, array in tensors.items():
            engine.set_tensor(name, array)
        engine.forward()
        return [engine.get_tensor(spec.name) for spec in kernel.outputs]

    return run


def _rows(
    options: Options,
    what: str,
    ours: Callable[[], object],
    others: dict[str, Callable[[], object]],
    goal: Goal,
) -> list[Row]:
    """Ours beside each of the others, in milliseconds."""
    calls, rounds = options.take(20, 100), options.take(5, 15)
    measured = {name: per_call_us(run, calls) for name, run in {"ours": ours, **others}.items()}
    numbers = {
        name: [us / 1000 for us in found] for name, found in interleaved(measured, rounds).items()
    }
    goals = [goal, *[None] * (len(others) - 1)]
    return [
        Row(what, "ms", numbers["ours"], name, numbers[name], aim)
        for name, aim in zip(others, goals, strict=True)
    ]
