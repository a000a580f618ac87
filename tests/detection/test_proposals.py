"""Proposals against Faster R-CNN's section 3 written out with loops."""

from __future__ import annotations

from math import exp, log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

import engines
from pipeline.detection.anchors import Anchors
from pipeline.detection.proposals import Proposals, ProposalSpec, propose

D2GO = ProposalSpec((Anchors((32, 64, 96, 128, 160), (0.5, 1, 2), 16),), keep=30)
PYRAMID = ProposalSpec(
    tuple(Anchors((8.0 * s,), (0.5, 1, 2), s, 0.5) for s in (8, 16, 32)), candidates=40, keep=25
)
WIDTH, HEIGHT = 112, 80
MAPS = {1: [(5, 7)], 3: [(10, 14), (5, 7), (2, 3)]}

#: Objectness, box and anchor of a proposal.
Slow = tuple[float, list[float], list[float]]


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


def slow_level(anchors: Anchors, logits: np.ndarray, moves: np.ndarray, count: int) -> list[Slow]:
    found = []
    per_cell, rows, columns = logits.shape[1:]
    for row in range(rows):
        for column in range(columns):
            for a in range(per_cell):
                size, ratio = divmod(a, len(anchors.ratios))
                wa = (anchors.sizes[size] ** 2 / anchors.ratios[ratio]) ** 0.5
                ha = wa * anchors.ratios[ratio]
                dx, dy, dw, dh = (float(moves[0, 4 * a + i, row, column]) for i in range(4))
                xa, ya = (
                    (column + anchors.offset) * anchors.stride,
                    (row + anchors.offset) * anchors.stride,
                )
                anchor = [xa - wa / 2, ya - ha / 2, xa + wa / 2, ya + ha / 2]
                x, y = xa + dx * wa, ya + dy * ha
                w = wa * exp(min(dw, log(1000 / 16)))
                h = ha * exp(min(dh, log(1000 / 16)))
                corners = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
                limits = (WIDTH, HEIGHT, WIDTH, HEIGHT)
                box = [min(max(c, 0), m) for c, m in zip(corners, limits, strict=True)]
                found.append((float(logits[0, a, row, column]), box, anchor))
    found.sort(key=lambda one: -one[0])
    return [(s, b, a) for s, b, a in found[:count] if b[2] > b[0] and b[3] > b[1]]


def slow(spec: ProposalSpec, objectness: list[np.ndarray], deltas: list[np.ndarray]) -> list[Slow]:
    """What `propose` should give."""
    kept: list[Slow] = []
    for anchors, logits, moves in zip(spec.levels, objectness, deltas, strict=True):
        level: list[Slow] = []
        for one in slow_level(anchors, logits, moves, spec.candidates):
            if all(overlap(one[1], better[1]) <= spec.nms_iou for better in level):
                level.append(one)
        kept.extend(level)
    return sorted(kept, key=lambda one: -one[0])[: spec.keep]


def assert_equal(found: Proposals, expected: list[Slow]) -> None:
    scores, boxes, anchors = zip(*expected, strict=True)
    np.testing.assert_array_equal(found.objectness, np.array(scores, np.float32))
    np.testing.assert_allclose(found.boxes_xyxy, boxes, atol=1e-3)
    np.testing.assert_allclose(found.anchors_xyxy, anchors, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spec", [D2GO, PYRAMID], ids=["D2Go", "pyramid"])
def test_equals_the_slow_reference(spec: ProposalSpec, seed: int) -> None:
    given = outputs(spec, seed, MAPS[len(spec.levels)])
    found = propose(spec, *given, WIDTH, HEIGHT)
    expected = slow(spec, *given)
    assert len(expected) > 10
    assert_equal(found, expected)


def test_nothing_inside_the_picture_nothing_proposed() -> None:
    logits, moves = outputs(D2GO, 0, MAPS[1])
    moves[0].reshape(15, 4, -1)[:, 0] = 1000  # far to the right
    found = propose(D2GO, logits, moves, WIDTH, HEIGHT)
    assert len(found) == 0
    assert found.boxes_xyxy.shape == found.anchors_xyxy.shape == (0, 4)


def test_among_equal_scores_the_first_anchors_are_taken() -> None:
    spec = ProposalSpec((Anchors((4,), (1,), 16, 0.5),), candidates=3, keep=9)
    level = np.zeros((1, 1, 2, 5), np.float32)
    found = propose(spec, [level], [np.zeros((1, 4, 2, 5), np.float32)], 80, 32)
    np.testing.assert_array_equal(found.boxes_xyxy[:, 0], [6, 22, 38])


def test_tens_of_thousands_of_anchors() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(1, 15, 60, 80)).astype(np.float32)
    moves = random.normal(0, 0.2, (1, 60, 60, 80)).astype(np.float32)
    found = propose(D2GO, [logits], [moves], 1280, 960)
    assert len(found) == 30
    assert (np.diff(found.objectness) <= 0).all()


def test_there_may_be_no_proposals() -> None:
    none = Proposals.empty()
    assert len(none) == 0
    assert none.boxes_xyxy.shape == none.anchors_xyxy.shape == (0, 4)


@settings(max_examples=40)
@drawn(st.integers(0, 2**32 - 1), st.floats(0.1, 1e38), st.sampled_from([D2GO, PYRAMID]))
def test_whatever_the_deltas_proposals_lie_inside_by_falling_objectness(
    seed: int, scale: float, spec: ProposalSpec
) -> None:
    logits, moves = outputs(spec, seed, MAPS[len(spec.levels)])
    with np.errstate(over="ignore"):
        moves = [np.clip(level * np.float32(scale), -3e38, 3e38) for level in moves]
    found = propose(spec, logits, moves, WIDTH, HEIGHT)
    assert len(found) <= spec.keep
    assert (np.diff(found.objectness) <= 0).all()
    x1, y1, x2, y2 = found.boxes_xyxy.T
    assert ((x1 >= 0) & (x1 < x2) & (x2 <= WIDTH) & (y1 >= 0) & (y1 < y2) & (y2 <= HEIGHT)).all()


def test_outputs_that_do_not_fit_the_anchors_are_told() -> None:
    logits, moves = outputs(D2GO, 0, MAPS[1])
    expected = r"level 0: 5 sizes in 3 ratios are 15 anchors.*\(1, 60, 5, 7\).*\(1, 56, 5, 7\)"
    with pytest.raises(ValueError, match=expected):
        propose(D2GO, logits, [moves[0][:, :56]], WIDTH, HEIGHT)


def test_a_map_that_does_not_cover_the_picture_is_told() -> None:
    logits, moves = outputs(PYRAMID, 0, MAPS[3])
    assert len(propose(PYRAMID, logits, moves, 119, 87)) == 25, "cells may be rounded down"
    with pytest.raises(
        ValueError, match=r"level 0: at stride 8 .*224x80.*28 columns.*found 10 and 14"
    ):
        propose(PYRAMID, logits, moves, 224, 80)
    swapped = [logits[i] for i in (1, 0, 2)], [moves[i] for i in (1, 0, 2)]
    with pytest.raises(ValueError, match=r"level 0: at stride 8 .*the order of the levels"):
        propose(PYRAMID, *swapped, WIDTH, HEIGHT)


def test_another_number_of_levels_is_told() -> None:
    logits, moves = outputs(PYRAMID, 0, MAPS[3])
    with pytest.raises(ValueError, match="3 levels, but objectness of 2 and deltas of 3"):
        propose(PYRAMID, logits[:2], moves, WIDTH, HEIGHT)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1], ids=["objectness", "deltas"])
def test_what_is_not_finite_is_no_proposal_but_an_error(bad: float, which: int) -> None:
    given = outputs(D2GO, 0, MAPS[1])
    given[which][0].reshape(-1)[7] = bad
    with pytest.raises(ValueError, match="stride 16 are not finite"):
        propose(D2GO, *given, WIDTH, HEIGHT)


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
    assert_equal(propose(D2GO, *given, WIDTH, HEIGHT), slow(D2GO, *given))
