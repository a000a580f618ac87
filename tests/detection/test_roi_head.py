"""A RoI head's outputs against Fast R-CNN's section 2 written out with loops."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.detection.deltas import encode
from pipeline.detection.roi_head import RoiHeadSpec, objects

WIDTH, HEIGHT = 112.0, 80.0
LAST, FIRST = RoiHeadSpec(keep=12), RoiHeadSpec(background="first", score=0.2, nms_iou=0.3)
TWO = RoiHeadSpec(wanted=(1, 4), keep=12)


def places(count: int, random: np.random.Generator) -> np.ndarray:
    corner = random.uniform(0, (WIDTH - 30, HEIGHT - 30), (count, 2))
    return np.hstack([corner, corner + random.uniform(4, 30, (count, 2))]).astype(np.float32)


def outputs(count: int, classes: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    deltas = random.normal(0, 2, (count, 4 * classes)).astype(np.float32)
    return deltas, random.normal(0, 2, (count, classes + 1)).astype(np.float32)


def overlap(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / both if both else 0.0


def slow_box(spec: RoiHeadSpec, place: list[float], moves: list[float]) -> list[float]:
    dx, dy, dw, dh = (move / weight for move, weight in zip(moves, spec.weights, strict=True))
    wide, high = place[2] - place[0], place[3] - place[1]
    x, y = (place[0] + place[2]) / 2 + dx * wide, (place[1] + place[3]) / 2 + dy * high
    w, h = wide * exp(min(dw, log(1000 / 16))), high * exp(min(dh, log(1000 / 16)))
    corners, limits = [x - w / 2, y - h / 2, x + w / 2, y + h / 2], [WIDTH, HEIGHT] * 2
    return [min(max(c, 0), limit) for c, limit in zip(corners, limits, strict=True)]


def slow(
    spec: RoiHeadSpec, rois: np.ndarray, deltas: np.ndarray, logits: np.ndarray
) -> list[tuple[int, float, list[float]]]:
    """What `objects` should give: label, score and box of each."""
    found = []
    for place, moves, row in zip(rois.tolist(), deltas.tolist(), logits.tolist(), strict=True):
        powers = [exp(value) for value in row]
        shares = [power / sum(powers) for power in powers]
        shares = shares[1:] if spec.background == "first" else shares[:-1]
        for label, score in enumerate(shares):
            box = slow_box(spec, place, moves[4 * label : 4 * label + 4])
            wanted = spec.wanted is None or label in spec.wanted
            if wanted and score > spec.score and box[2] > box[0] and box[3] > box[1]:
                found.append((label, score, box))
    kept: list[tuple[int, float, list[float]]] = []
    for label, score, box in sorted(found, key=lambda one: -one[1]):
        if all(other != label or overlap(box, b) <= spec.nms_iou for other, _, b in kept):
            kept.append((label, score, box))
    return kept[: spec.keep]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "spec", [LAST, FIRST, TWO], ids=["background last", "background first", "two classes"]
)
def test_equals_the_slow_reference(spec: RoiHeadSpec, seed: int) -> None:
    random = np.random.default_rng(seed)
    rois = places(40, random)
    given_outputs = outputs(40, 5, random)
    found = objects(spec, rois, *given_outputs, WIDTH, HEIGHT)
    expected = slow(spec, rois, *given_outputs)
    assert len(expected) >= 12
    assert found.labels.tolist() == [label for label, _, _ in expected]
    np.testing.assert_allclose(found.scores, [score for _, score, _ in expected], rtol=1e-5)
    np.testing.assert_allclose(found.boxes_xyxy, [box for _, _, box in expected], atol=1e-3)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 40))
def test_a_head_that_is_sure_of_encoded_boxes_finds_these(
    seed: int, classes: int, count: int
) -> None:
    random = np.random.default_rng(seed)
    rois, truth = places(count, random), places(count, random)
    label = random.integers(0, classes, count)
    spec = RoiHeadSpec(nms_iou=1.0, keep=count)
    deltas = random.normal(size=(count, classes, 4)).astype(np.float32)
    deltas[np.arange(count), label] = encode(truth, rois, spec.weights)
    logits = np.zeros((count, classes + 1), np.float32)
    logits[np.arange(count), label] = 20 + random.permutation(count) / count
    found = objects(spec, rois, deltas.reshape(count, -1), logits, WIDTH, HEIGHT)
    assert sorted(found.labels) == sorted(label)
    # Boxes of one class may be near one another: each has its like.
    distance = np.abs(found.boxes_xyxy[:, None] - truth).max(axis=2)
    distance[found.labels[:, None] != label] = np.inf
    assert distance.min(axis=1).max() < 1e-2
    assert distance.min(axis=0).max() < 1e-2


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(1, 6))
def test_whatever_comes_the_objects_lie_inside_by_falling_score(
    seed: int, count: int, classes: int
) -> None:
    random = np.random.default_rng(seed)
    deltas, logits = outputs(count, classes, random)
    found = objects(LAST, places(count, random), 50 * deltas, 9 * logits, WIDTH, HEIGHT)
    assert len(found) <= LAST.keep
    assert (found.scores > LAST.score).all()
    assert (np.diff(found.scores) <= 0).all()
    assert ((found.labels >= 0) & (found.labels < classes)).all()
    x1, y1, x2, y2 = found.boxes_xyxy.T
    assert ((x1 >= 0) & (x1 < x2) & (x2 <= WIDTH) & (y1 >= 0) & (y1 < y2) & (y2 <= HEIGHT)).all()


def test_one_proposal_may_show_two_classes() -> None:
    rois = np.array([[10, 10, 50, 50]], np.float32)
    found = objects(
        LAST, rois, np.zeros((1, 8), np.float32), np.float32([[2, 2, 0]]), WIDTH, HEIGHT
    )
    assert sorted(found.labels) == [0, 1]
    np.testing.assert_array_equal(found.boxes_xyxy, np.repeat(rois, 2, 0))


def test_without_proposals_there_are_no_objects() -> None:
    none = np.empty((0, 4), np.float32)
    deltas, logits = np.empty((0, 20), np.float32), np.empty((0, 6), np.float32)
    found = objects(LAST, none, deltas, logits, WIDTH, HEIGHT)
    assert len(found) == 0
    assert found.boxes_xyxy.shape == (0, 4)


def test_a_head_of_another_class_count_is_told() -> None:
    random = np.random.default_rng(0)
    deltas, logits = outputs(3, 5, random)
    with pytest.raises(ValueError, match=r"3 proposals and 5 classes.*\(3, 20\).*\(3, 16\)"):
        objects(LAST, places(3, random), deltas[:, :16], logits, WIDTH, HEIGHT)
    with pytest.raises(ValueError, match=r"4 proposals"):
        objects(LAST, places(4, random), deltas, logits, WIDTH, HEIGHT)


@pytest.mark.parametrize("which", [0, 1], ids=["deltas", "logits"])
def test_what_is_not_finite_is_no_object_but_an_error(which: int) -> None:
    random = np.random.default_rng(0)
    given_outputs = outputs(3, 5, random)
    given_outputs[which][1, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        objects(LAST, places(3, random), *given_outputs, WIDTH, HEIGHT)


def test_a_proposal_outside_the_picture_shows_nothing() -> None:
    random = np.random.default_rng(0)
    outside = places(3, random) + np.float32(500)
    assert len(objects(LAST, outside, *outputs(3, 5, random), WIDTH, HEIGHT)) == 0


def test_thousands_of_proposals() -> None:
    random = np.random.default_rng(0)
    deltas, logits = outputs(10_000, 3, random)
    found = objects(RoiHeadSpec(), places(10_000, random), deltas, logits, WIDTH, HEIGHT)
    assert len(found) == 100
