"""Scores of sequences small enough to be worked out by hand."""

from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.evaluation.evaluate import Rules, combine, evaluate
from pipeline.evaluation.mot_files import MotTable, table_from_rows
from pipeline.evaluation.preprocess import Benchmark

FAR = 1000.0


def _table(*tracks: tuple[int, str], at: float = 0.0) -> MotTable:
    """Tracks of 10 x 10 boxes: id and one character a frame, the place (``a`` … ) or ``.``."""
    return table_from_rows(
        [
            (frame, identity, FAR * (ord(place) - ord("a")) + at, 0, 10, 10, 1, 1)
            for identity, places in tracks
            for frame, place in enumerate(places, 1)
            if place != "."
        ]
    )


@dataclass(frozen=True)
class Case:
    gt: tuple[tuple[int, str], ...]
    result: tuple[tuple[int, str], ...]
    scores: dict[str, float]


CASES = {
    "everything is found": Case(
        gt=((1, "aaaa"), (2, "bbbb")),
        result=((7, "aaaa"), (9, "bbbb")),
        scores={"HOTA": 100, "MOTA": 100, "MOTP": 100, "IDF1": 100, "IDSW": 0, "Frag": 0, "MT": 2},
    ),
    "nothing is found": Case(
        gt=((1, "aaaa"),),
        result=(),
        scores={"HOTA": 0, "MOTA": 0, "IDF1": 0, "FN": 4, "FP": 0, "ML": 1, "LocA": 100},
    ),
    "there is nothing to find": Case(
        gt=(),
        result=((1, "aa"),),
        scores={"HOTA": 0, "MOTA": -200, "IDF1": 0, "FN": 0, "FP": 2, "MT": 0, "ML": 0},
    ),
    "half is missed: DetA 1/2, every match A(c) = 2/4": Case(
        gt=((1, "aaaa"),),
        result=((1, "aa.."),),
        scores={"HOTA": 50, "DetA": 50, "AssA": 50, "MOTA": 50, "IDF1": 200 / 3, "PT": 1},
    ),
    "one false track as long as the true one: DetA 4/8": Case(
        gt=((1, "aaaa"),),
        result=((1, "aaaa"), (2, "cccc")),
        scores={"DetA": 50, "AssA": 100, "MOTA": 0, "IDF1": 200 / 3, "FP": 4, "Precision": 50},
    ),
    "the identity changes half way: A(c) = 2/4, one switch of four boxes": Case(
        gt=((1, "aaaa"),),
        result=((1, "aa.."), (2, "..aa")),
        scores={"DetA": 100, "AssA": 50, "MOTA": 75, "IDF1": 50, "IDSW": 1, "Frag": 0},
    ),
    "two people swap identities: two switches, three of four boxes each": Case(
        gt=((1, "aaaa"), (2, "bbbb")),
        result=((1, "aaab"), (2, "bbba")),
        # for each person 3 matches with A(c) = 3/5 and 1 with 1/7
        scores={"AssA": 100 * (3 * 3 / 5 + 1 / 7) / 4, "MOTA": 75, "IDF1": 75, "IDSW": 2},
    ),
    "a gap in the result is a fragmentation, not a switch": Case(
        gt=((1, "aaaaa"), (2, "bbbbb")),
        result=((1, "aa.aa"), (2, "bbbbb")),
        scores={"IDSW": 0, "Frag": 1, "FN": 1, "MT": 1, "PT": 1, "MOTA": 90},
    ),
    "a gap in the ground truth interrupts too, the same identity goes on": Case(
        gt=((1, "aa.aa"), (2, "bbbbb")),
        result=((1, "aa.aa"), (2, "bbbbb")),
        scores={"IDSW": 0, "Frag": 1, "FN": 0, "FP": 0, "MOTA": 100},
    ),
    "a switch is also counted over a gap": Case(
        gt=((1, "aaaaa"), (2, "bbbbb")),
        result=((1, "aa..."), (3, "...aa"), (2, "bbbbb")),
        scores={"IDSW": 1, "Frag": 1, "FN": 1, "MOTA": 80},
    ),
    "exactly 80 % is partly tracked, exactly 20 % too": Case(
        gt=((1, "aaaaa"), (2, "bbbbb")),
        result=((1, "aaaa."), (2, "b....")),
        scores={"MT": 0, "PT": 2, "ML": 0},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_scores_worked_out_by_hand(case: Case) -> None:
    scores = evaluate(_table(*case.gt), _table(*case.result)).summary()
    assert {name: scores[name] for name in case.scores} == pytest.approx(case.scores)


def test_localisation_counts_by_threshold() -> None:
    """Overlap 0.6: a match for the 12 thresholds up to 0.6, none for the 7 above."""
    shifted = evaluate(_table((1, "aa")), _table((1, "aa"), at=2.5)).summary()
    assert shifted["DetA"] == pytest.approx(100 * 12 / 19)
    assert shifted["HOTA"] == pytest.approx(100 * 12 / 19)
    assert shifted["LocA"] == pytest.approx(100 * (12 * 0.6 + 7) / 19)
    assert shifted["MOTP"] == pytest.approx(60)


@pytest.mark.parametrize(("iou", "mota"), [(0.59, 100), (0.6, 100), (0.61, -100)])
def test_threshold_of_a_match(iou: float, mota: float) -> None:
    scores = evaluate(_table((1, "aa")), _table((1, "aa"), at=2.5), Rules(iou=iou))
    assert scores.summary()["MOTA"] == pytest.approx(mota)


def test_a_pair_of_the_frame_before_goes_on_although_another_overlaps_more() -> None:
    gt = _table((1, "aaa"))
    steady = table_from_rows([(f, 1, 2.0, 0, 10, 10, 1, 1) for f in (1, 2, 3)])
    better = table_from_rows([(f, 2, 0.0, 0, 10, 10, 1, 1) for f in (2, 3)])
    both = table_from_rows(
        [
            (f, i, x, 0, 10, 10, 1, 1)
            for table in (steady, better)
            for f, i, x in zip(table.frames, table.ids, table.boxes_xywh[:, 0], strict=True)
        ]
    )
    scores = evaluate(gt, both).summary()
    assert (scores["IDSW"], scores["FP"]) == (0, 2)


def test_sequences_are_combined_by_counts() -> None:
    long = evaluate(_table((1, "a" * 9)), _table((1, "a" * 9)))
    short = evaluate(_table((1, "aaa")), _table((1, "...")))
    scores = combine([long, short]).summary()
    assert scores["MOTA"] == pytest.approx(75)
    assert scores["IDF1"] == pytest.approx(100 * 9 / 10.5)
    assert scores["HOTA"] == pytest.approx(100 * np.sqrt(9 / 12))


def test_order_of_rows_and_names_of_identities_do_not_matter() -> None:
    gt, result = _table((1, "aaaa"), (2, "bbbb")), _table((1, "aab."), (2, "bbaa"), (3, "..c."))
    shuffled = result.take(np.random.default_rng(0).permutation(len(result)))
    renamed = MotTable(
        shuffled.frames,
        100 - shuffled.ids,
        shuffled.boxes_xywh,
        shuffled.scores,
        shuffled.classes,
    )
    assert evaluate(gt, renamed).summary() == pytest.approx(evaluate(gt, result).summary())


def test_ground_truth_of_another_picture_size_is_scaled() -> None:
    gt, result = _table((1, "ab")), _table((1, "ab"))
    assert evaluate(gt.scaled(0.625), result.scaled(0.625)).summary()["MOTA"] == 100
    assert evaluate(gt, result.scaled(0.625)).summary()["MOTA"] < 0


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([(3, 5, 0, 0, 1, 1, 1, 1), (3, 5, 9, 9, 1, 1, 1, 1)], "id 5 comes twice in frame 3"),
        ([(3, -1, 0, 0, 1, 1, 1, 1)], "frame 3 has no identity"),
    ],
)
def test_tracks_without_proper_identities_are_refused(
    rows: list[tuple[float, ...]], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        evaluate(_table((1, "aaa")), table_from_rows(rows))


def _row(frame: int, identity: int, left: float, flag: int, label: int) -> tuple[float, ...]:
    return (frame, identity, left, 0, 10, 10, flag, label)


@pytest.mark.parametrize(
    ("benchmark", "classes", "counts"),
    [
        # found: a pedestrian, one flagged 0, a car, a static person; and one that is not there
        (Benchmark.MOT15, (), {"TP": 3, "FP": 2, "FN": 0}),  # classes do not exist
        (Benchmark.MOT17, (), {"TP": 1, "FP": 3, "FN": 0}),  # the static person does not count
        (Benchmark.SIMPLE, (), {"TP": 3, "FP": 1, "FN": 0}),  # flag 0 is an ignore region
        (Benchmark.SIMPLE, (1,), {"TP": 1, "FP": 3, "FN": 0}),
        (Benchmark.SIMPLE, (1, 3), {"TP": 2, "FP": 2, "FN": 0}),
    ],
)
def test_rows_that_do_not_count(
    benchmark: Benchmark, classes: tuple[int, ...], counts: dict[str, int]
) -> None:
    gt = table_from_rows(
        [_row(1, 1, 0, 1, 1), _row(1, 2, 100, 0, 1), _row(1, 3, 200, 1, 3), _row(1, 4, 300, 1, 7)]
    )
    result = table_from_rows([_row(1, i, 100 * i, 1, -1) for i in range(5)])
    scores = evaluate(gt, result, Rules(benchmark, classes)).summary()
    assert {name: scores[name] for name in counts} == counts


def test_results_of_other_classes_are_left_out() -> None:
    gt = table_from_rows([_row(1, 1, 0, 1, 1), _row(1, 2, 100, 1, 3)])
    result = table_from_rows([_row(1, 1, 0, 1, 1), _row(1, 2, 100, 1, 3)])
    scores = evaluate(gt, result, Rules(classes=(3,))).summary()
    assert (scores["TP"], scores["FP"], scores["FN"]) == (1, 0, 0)


@pytest.mark.parametrize(("left", "false_positives"), [(4.0, 0), (-4.0, 0), (96.0, 1), (200.0, 1)])
def test_a_box_inside_an_ignore_region_does_not_count(left: float, false_positives: int) -> None:
    region = table_from_rows([(1, 1, 0, 0, 100, 100, 0, -1)])
    result = table_from_rows([_row(1, 1, left, 1, -1)])
    assert evaluate(region, result).summary()["FP"] == false_positives


@pytest.mark.parametrize(
    ("benchmark", "label", "complaint"),
    [
        (Benchmark.MOT17, 3, "class 3 does not exist in MOT17"),
        (Benchmark.MOT15, 2, "class 2 does not exist in MOT15"),
    ],
)
def test_a_result_of_a_class_the_benchmark_lacks_is_refused(
    benchmark: Benchmark, label: int, complaint: str
) -> None:
    gt = table_from_rows([_row(1, 1, 0, 1, 1)])
    with pytest.raises(DataError, match=complaint):
        evaluate(gt, table_from_rows([_row(1, 1, 0, 1, label)]), Rules(benchmark))
