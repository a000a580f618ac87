"""Suppression against the textbook loop, over blocks, and with ties."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.detection import nms as module
from pipeline.detection.boxes import iou_matrix
from pipeline.detection.nms import nms


def crowd(count: int, seed: int, spread: float = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, spread, (count, 2))
    size = rng.uniform(5, 30, (count, 2))
    boxes = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    scores = np.round(rng.uniform(0, 1, count), 1).astype(np.float32)  # many are equal
    return boxes, scores, rng.integers(0, 3, count).astype(np.int32)


def slow_nms(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray | None, iou: float
) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        rivals = [k for k in kept if labels is None or labels[k] == labels[i]]
        if all(iou_matrix(boxes[[k]], boxes[[i]])[0, 0] <= np.float32(iou) for k in rivals):
            kept.append(i)
    return kept


@given(st.integers(0, 40), st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_equals_the_loop(count: int, seed: int, iou: float) -> None:
    boxes, scores, labels = crowd(count, seed)
    assert nms(boxes, scores, labels, iou).tolist() == slow_nms(boxes, scores, labels, iou)
    assert nms(boxes, scores, None, iou).tolist() == slow_nms(boxes, scores, None, iou)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 9))
def test_blocks_do_not_change_the_result(seed: int, block: int) -> None:
    boxes, scores, labels = crowd(30, seed)
    expected = nms(boxes, scores, labels, 0.4).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        assert nms(boxes, scores, labels, 0.4).tolist() == expected


@pytest.mark.parametrize("limit", [0, 1, 5, 1000])
def test_limit_keeps_the_best(limit: int) -> None:
    boxes, scores, labels = crowd(50, 1)
    every = nms(boxes, scores, labels, 0.4).tolist()
    assert nms(boxes, scores, labels, 0.4, limit).tolist() == every[:limit]


def test_of_equals_the_first_stays() -> None:
    boxes = np.tile(np.array([[0, 0, 10, 10]], np.float32), (5, 1))
    assert nms(boxes, np.full(5, 0.5, np.float32), None, 0.5).tolist() == [0]


def test_an_overlap_of_exactly_the_threshold_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], np.float32)  # IoU one half
    scores = np.array([0.9, 0.8], np.float32)
    assert nms(boxes, scores, None, 0.5).tolist() == [0, 1]
    assert nms(boxes, scores, None, 0.499).tolist() == [0]


def test_a_chain_keeps_every_second() -> None:
    """Each box suppresses only its neighbour: the fixed point takes as many rounds as boxes."""
    x = np.arange(200, dtype=np.float32) * 4
    boxes = np.stack([x, np.zeros_like(x), x + 10, np.full_like(x, 10)], axis=1)
    scores = np.linspace(1, 0.1, 200, dtype=np.float32)
    assert nms(boxes, scores, None, 0.4).tolist() == list(range(0, 200, 2))


def test_tens_of_thousands_in_bounded_memory() -> None:
    boxes, scores, labels = crowd(10_000, 2, spread=300)
    tracemalloc.start()
    kept = nms(boxes, scores, labels, 0.3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20, "bytes, where all overlaps would take 400 MB"
    assert 500 < len(kept) < 9_000
    assert (np.diff(scores[kept]) <= 0).all()
