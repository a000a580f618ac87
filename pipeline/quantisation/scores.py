"""The figures of both sides, from what they gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pipeline.config import PipelineConfig
from pipeline.config.stages import PostprocessConfig
from pipeline.errors import DataError
from pipeline.evaluation import detection_ap
from pipeline.evaluation.evaluate import Rules, combine, evaluate
from pipeline.evaluation.mot_files import MotTable, one_after_another
from pipeline.evaluation.overlap import best_matches, iou_xywh, reaching
from pipeline.parity import agreement
from pipeline.planning import Planner
from pipeline.quantisation.figures import FIGURES, Figure
from pipeline.quantisation.reid import mean_cosine
from pipeline.quantisation.sides import Collected, Scoring
from pipeline.quantisation.truth import Truth

_OVERLAPS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
_Pairs = list[tuple[MotTable, MotTable]]


def rules_of(config: PipelineConfig, scoring: Scoring) -> Rules:
    """Scored are the classes that the truth names and the configuration asks for.

    Raises:
        DataError: there are none.
    """
    numbers = scoring.numbers
    if not numbers:
        return Rules(scoring.benchmark)
    planner, asked = Planner(config), set[str]()
    for name, stage in config.stages.items():
        if isinstance(stage, PostprocessConfig):
            asked.update(stage.classes or planner.labels(name))
    classes = tuple(number for label, number in numbers.items() if label in asked)
    if not classes:
        raise DataError(
            f"none of the ground truth's classes ({', '.join(numbers)}) is among those that are "
            f"detected ({', '.join(sorted(asked))})"
        )
    return Rules(scoring.benchmark, classes)


def figures_of(
    one: Collected, other: Collected, rules: Rules, truths: Mapping[str, Truth]
) -> Iterator[Figure]:
    """Every figure that can be worked out, in the order of `FIGURES`.

    Args:
        one: the reference.
        other: the candidate.
        rules: for both.
        truths: by camera.

    Raises:
        DataError: the ground truth does not fit the rules.
    """
    expected = {camera: truth.over(one.frames[camera]) for camera, truth in truths.items()}
    there = any((table.scores != 0).any() for table in expected.values())
    sides = one.results, other.results
    if there and one.results.detector:
        found = [_precisions(_pairs(expected, side.detections()), rules) for side in sides]
        yield from _side_by_side(*found)
    agreed = agreement(*sides)
    if agreed is not None:
        yield Figure("agreement", 1.0, agreed)
    if one.looks.crops:
        yield Figure("rank-1", one.looks.rank_one(), other.looks.rank_one())
        yield Figure("cosine", 1.0, mean_cosine(one.looks, other.looks))
    if there and one.results.tracker:
        found = [_track_scores(_pairs(expected, side.tracks()), rules) for side in sides]
        yield from _side_by_side(*found)


def agreement_by_frame(one: Collected, other: Collected) -> dict[str, list[float]]:
    """Of each camera's frames in turn, how far both sides' detections are the same, 0..1.

    Twice the pairs that overlap by half or more, over the detections of both: their F1 score.
    Empty where no stage gives detections.
    """
    theirs = other.results.detections()
    return {
        camera: [_f1(ours, theirs[camera], index + 1) for index in one.frames[camera]]
        for camera, ours in one.results.detections().items()
    }


def _f1(one: MotTable, other: MotTable, frame: int) -> float:
    a, b = (table.boxes_xywh[table.frames == frame] for table in (one, other))
    pairs, _ = best_matches(reaching(iou_xywh(a, b), 0.5))
    return 2 * len(pairs) / (len(a) + len(b)) if len(a) + len(b) else 1.0


def _side_by_side(one: Mapping[str, float], other: Mapping[str, float]) -> Iterator[Figure]:
    return (Figure(name, value, other[name]) for name, value in one.items())


def _pairs(expected: Mapping[str, MotTable], found: Mapping[str, MotTable]) -> _Pairs:
    return [(table, found[camera]) for camera, table in expected.items()]


def _precisions(pairs: _Pairs, rules: Rules) -> dict[str, float]:
    """AP50, and the mean over the overlaps 0.5, 0.55 … 0.95, 0..1."""
    gt, found = one_after_another(pairs)
    scores = []
    for iou in _OVERLAPS:
        summary = detection_ap.summary(gt, found, Rules(rules.benchmark, rules.classes, iou))
        scores.append(next(iter(summary.values())) / 100)
    return {"AP50": scores[0], "AP50-95": float(np.mean(scores))}


def _track_scores(pairs: _Pairs, rules: Rules) -> dict[str, float]:
    summary = combine(evaluate(*pair, rules) for pair in pairs).summary()
    return {name: summary[name] for name in FIGURES["tracks"]}
