"""Differences of two results, and how sure they are."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import MANY_SEQUENCES, Comparison, compare_sequences
from pipeline.evaluation.evaluate import Rules, combine, evaluate, prepare
from pipeline.evaluation.mot_files import MotTable, table_from_rows

FRAMES = 40


def _world(objects: int) -> MotTable:
    """Objects that stand still in places of their own."""
    rows = [
        (frame, i, 100.0 * i, 0, 10, 10, 1, 1)
        for i in range(1, objects + 1)
        for frame in range(1, FRAMES + 1)
    ]
    return table_from_rows(rows)


def _found(gt: MotTable, miss: float, switch: float, seed: int) -> MotTable:
    """The objects with gaps, and with another track from some frame on."""
    rng = np.random.default_rng(seed)
    ids = gt.ids + 100 * (rng.random(int(gt.ids.max()) + 1) < switch)[gt.ids] * (gt.frames > 20)
    found = MotTable(gt.frames, ids, gt.boxes_xywh, gt.scores, gt.classes)
    return found.take(rng.random(len(gt)) >= miss)


def _compare(gts: list[MotTable], ones: list[MotTable], others: list[MotTable]) -> Comparison:
    rules = Rules()
    sequences = [
        (prepare(gt, one, rules), prepare(gt, other, rules), 10.0)
        for gt, one, other in zip(gts, ones, others, strict=True)
    ]
    return compare_sequences(sequences, rules)


def test_a_result_is_as_good_as_itself() -> None:
    gt = _world(8)
    one = _found(gt, 0.2, 0.5, seed=1)
    for difference in _compare([gt], [one], [one]).differences.values():
        assert (difference.difference, difference.low, difference.high) == (0, 0, 0)
        assert difference.better == 0.5


def test_both_scores_are_those_of_the_whole_sequences() -> None:
    gts = [_world(4), _world(7)]
    ones = [_found(gt, 0.1, 0.2, seed=1) for gt in gts]
    others = [_found(gt, 0.2, 0.4, seed=2) for gt in gts]
    found = _compare(gts, ones, others)
    assert (found.unit, found.units) == ("objects", 11)
    for side, results in (("one", ones), ("other", others)):
        pairs = zip(gts, results, strict=True)
        whole = combine([evaluate(*pair) for pair in pairs]).summary()
        for name, difference in found.differences.items():
            assert getattr(difference, side) == pytest.approx(whole[name], abs=1e-9), name


def test_what_is_better_with_every_object_is_surely_better() -> None:
    gt = _world(20)
    good, bad = _found(gt, 0.02, 0.0, seed=1), _found(gt, 0.3, 1.0, seed=2)
    for name, one in _compare([gt], [good], [bad]).differences.items():
        less_is_better = name in ("IDSW", "Frag", "FN")
        if name in ("MOTP", "FP"):  # every box is on its object in both
            assert (one.low, one.high) == (0, 0)
        else:
            assert one.better == 1.0, name
            assert one.high < 0 if less_is_better else one.low > 0, name
            assert one.low <= one.difference <= one.high, name


def test_what_differs_by_chance_is_not_sure() -> None:
    gt = _world(30)
    one, other = (_found(gt, 0.1, 0.5, seed) for seed in (1, 2))
    hota = _compare([gt], [one], [other]).differences["HOTA"]
    assert hota.low < 0 < hota.high
    assert 0.01 < hota.better < 0.99


def test_a_difference_in_false_boxes_varies_too() -> None:
    gt = _world(6)
    false = [(frame, 900, 5000, 0, 10, 10, 1, 1) for frame in range(1, 300, 3)]
    rows = np.column_stack([gt.frames, gt.ids, gt.boxes_xywh, gt.scores, gt.classes])
    noisy = table_from_rows([*rows.tolist(), *false])
    longer = table_from_rows([*rows.tolist(), (300, 1, 100, 0, 10, 10, 1, 1)])
    difference = _compare([longer], [longer], [noisy]).differences["FP"]
    assert difference.difference == -100
    assert difference.better == 1
    assert difference.low < -100 < difference.high < 0


def test_the_same_draws_every_time() -> None:
    gt = _world(9)
    one, other = _found(gt, 0.1, 0.5, seed=1), _found(gt, 0.2, 0.2, seed=2)
    assert _compare([gt], [one], [other]) == _compare([gt], [one], [other])


def test_many_sequences_are_drawn_whole() -> None:
    gts = [_world(2)] * MANY_SEQUENCES
    ones = [_found(gt, 0.1, 0.3, seed) for seed, gt in enumerate(gts)]
    others = [_found(gt, 0.4, 0.3, seed) for seed, gt in enumerate(gts, 100)]
    found = _compare(gts, ones, others)
    assert (found.unit, found.units) == ("sequences", MANY_SEQUENCES)
    assert found.differences["MOTA"].low > 0


@pytest.mark.parametrize("objects", [1, 4])
def test_too_few_objects_give_no_interval(objects: int) -> None:
    gt = _world(objects)
    hota = _compare([gt], [gt], [_found(gt, 0.5, 0, seed=1)]).differences["HOTA"]
    assert hota.difference > 0
    assert (hota.low, hota.high, hota.better) == (None, None, None)
    assert hota.texts[-2:] == ("–", "–")


def test_nothing_to_find_gives_no_interval() -> None:
    gt, empty = _world(3), table_from_rows([])
    found = _compare([empty], [gt], [empty])
    assert found.units == 0
    assert found.differences["FP"].difference == 3 * FRAMES
