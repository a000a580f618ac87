"""Proposals against Faster R-CNN's section 3 written out with loops."""

from __future__ import annotations

from math import exp, log
from pathlib import Path

import numpy as np
import pytest

import engines
from pipeline.detection.anchors import Anchors
from pipeline.detection.proposals import ProposalSpec, propose

D2GO = ProposalSpec((Anchors((32, 64, 96, 128, 160), (0.5, 1, 2), 16),), keep=30)
PYRAMID = ProposalSpec(
    tuple(Anchors((8.0 * s,), (0.5, 1, 2), s, 0.5) for s in (8, 16, 32)), candidates=40, keep=25
)
WIDTH, HEIGHT = 112, 80
MAPS = {1: [(5, 7)], 3: [(10, 14), (5, 7), (2, 3)]}


def outputs(
    spec: ProposalSpec, seed: int, maps: list[tuple[int, int]]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    random = np.random.default_rng(seed)
    logits, moves = [], []
    for anchors, (rows, columns) in zip(spec.levels, maps, strict=True):
        shape = (rows, columns)
        logits.append(random.normal(size=(1, anchors.per_cell, *shape)).astype(np.float32))
        deltas = random.normal(0, 0.7, (1, 4 * anchors.per_cell, *shape))
        moves.append(deltas.astype(np.float32))
    return logits, moves


def overlap(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / both


def slow_level(
    anchors: Anchors, logits: np.ndarray, moves: np.ndarray, count: int
) -> list[tuple[float, list[float]]]:
    found = []
    per_cell, rows, columns = logits.shape[1:]
    for row in range(rows):
        for column in range(columns):
            for a in range(per_cell):
                size, ratio = divmod(a, len(anchors.ratios))
                wa = (anchors.sizes[size] ** 2 / anchors.ratios[ratio]) ** 0.5
                ha = wa * anchors.ratios[ratio]
                dx, dy, dw, dh = (float(moves[0, 4 * a + i, row, column]) for i in range(4))
                x = (column + anchors.offset) * anchors.stride + dx * wa
                y = (row + anchors.offset) * anchors.stride + dy * ha
                w = wa * exp(min(dw, log(1000 / 16)))
                h = ha * exp(min(dh, log(1000 / 16)))
                corners = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
                limits = (WIDTH, HEIGHT, WIDTH, HEIGHT)
                box = [min(max(c, 0), m) for c, m in zip(corners, limits, strict=True)]
                found.append((float(logits[0, a, row, column]), box))
    found.sort(key=lambda pair: -pair[0])
    return [(s, b) for s, b in found[:count] if b[2] > b[0] and b[3] > b[1]]


def slow(
    spec: ProposalSpec, objectness: list[np.ndarray], deltas: list[np.ndarray]
) -> list[tuple[float, list[float]]]:
    """What `propose` should give: score and box of each proposal."""
    kept: list[tuple[float, list[float]]] = []
    for anchors, logits, moves in zip(spec.levels, objectness, deltas, strict=True):
        level: list[tuple[float, list[float]]] = []
        for score, box in slow_level(anchors, logits, moves, spec.candidates):
            if all(overlap(box, better) <= spec.nms_iou for _, better in level):
                level.append((score, box))
        kept.extend(level)
    return sorted(kept, key=lambda pair: -pair[0])[: spec.keep]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spec", [D2GO, PYRAMID], ids=["D2Go", "pyramid"])
def test_equals_the_slow_reference(spec: ProposalSpec, seed: int) -> None:
    given = outputs(spec, seed, MAPS[len(spec.levels)])
    boxes, scores = propose(spec, *given, WIDTH, HEIGHT)
    expected = slow(spec, *given)
    assert len(expected) > 10
    np.testing.assert_array_equal(scores, np.array([s for s, _ in expected], np.float32))
    np.testing.assert_allclose(boxes, [box for _, box in expected], atol=1e-3)


def test_nothing_inside_the_picture_nothing_proposed() -> None:
    logits, moves = outputs(D2GO, 0, MAPS[1])
    moves[0].reshape(15, 4, -1)[:, 0] = 1000  # far to the right
    boxes, scores = propose(D2GO, logits, moves, WIDTH, HEIGHT)
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_among_equal_scores_the_first_anchors_are_taken() -> None:
    spec = ProposalSpec((Anchors((4,), (1,), 16, 0.5),), candidates=3, keep=9)
    level = np.zeros((1, 1, 2, 5), np.float32)
    boxes, _ = propose(spec, [level], [np.zeros((1, 4, 2, 5), np.float32)], 80, 32)
    np.testing.assert_array_equal(boxes[:, 0], [6, 22, 38])


def test_tens_of_thousands_of_anchors() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(1, 15, 60, 80)).astype(np.float32)
    moves = random.normal(0, 0.2, (1, 60, 60, 80)).astype(np.float32)
    boxes, scores = propose(D2GO, [logits], [moves], 1280, 960)
    assert len(boxes) == 30
    assert (np.diff(scores) <= 0).all()


def test_outputs_that_do_not_fit_the_anchors_are_told() -> None:
    logits, moves = outputs(D2GO, 0, MAPS[1])
    with pytest.raises(ValueError, match=r"15 anchors a cell.*\(1, 60, 5, 7\).*\(1, 56, 5, 7\)"):
        propose(D2GO, logits, [moves[0][:, :56]], WIDTH, HEIGHT)


@pytest.mark.assets
def test_real_outputs_of_d2go(assets: Path) -> None:
    network = engines.Network(assets / "models/d2go/d2go_frcnn_stage1_fp32.onnx", "onnx")
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, HEIGHT, WIDTH)).astype(np.float32)
    with engines.create("e", "onnxruntime") as engine:
        engine.init()
        engine.prepare(network)
        engine.set_tensor("image", image)
        engine.forward()
        given = [engine.get_tensor("objectness")], [engine.get_tensor("anchor_deltas")]
    boxes, scores = propose(D2GO, *given, WIDTH, HEIGHT)
    expected = slow(D2GO, *given)
    np.testing.assert_array_equal(scores, np.array([s for s, _ in expected], np.float32))
    np.testing.assert_allclose(boxes, [box for _, box in expected], atol=1e-3)
