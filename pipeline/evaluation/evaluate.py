"""From ground truth and result to scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add

from pipeline.evaluation.clear import Clear, clear
from pipeline.evaluation.hota import Hota, hota
from pipeline.evaluation.identity import Identity, identity
from pipeline.evaluation.mot_files import MotTable, check_tracks
from pipeline.evaluation.preprocess import Benchmark, preprocess
from pipeline.evaluation.sequence import Groups, Sequence, pair_up, whole


@dataclass(frozen=True, slots=True)
class Rules:
    """How to score.

    Attributes:
        benchmark: whose rules decide which rows count.
        classes: classes to score under the simple rules; empty for all.
        iou: overlap from which a box matches, in 0..1, for CLEAR MOT and identity metrics.
    """

    benchmark: Benchmark = Benchmark.SIMPLE
    classes: tuple[int, ...] = ()
    iou: float = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Everything counted in one sequence; those of several can be added."""

    hota: Hota
    clear: Clear
    identity: Identity

    def __add__(self, other: Scores) -> Scores:
        return Scores(
            self.hota + other.hota, self.clear + other.clear, self.identity + other.identity
        )

    def summary(self) -> dict[str, float]:
        """Every score by its usual name; ratios in percent, counts as they are."""
        c, i = self.clear, self.identity
        ratios = {name: curve.mean() for name, curve in self.hota.curves().items()}
        ratios |= {"MOTA": c.mota, "MOTP": c.motp, "Recall": c.recall, "Precision": c.precision}
        ratios |= {"IDF1": i.idf1, "IDP": i.idp, "IDR": i.idr}
        counts = {"IDSW": c.idsw, "Frag": c.frag, "TP": c.tp, "FP": c.fp, "FN": c.fn}
        counts |= {"MT": c.mt, "PT": c.pt, "ML": c.ml}
        return {name: 100 * float(ratio) for name, ratio in ratios.items()} | counts


def evaluate(gt: MotTable, result: MotTable, rules: Rules | None = None) -> Scores:
    """Scores one sequence.

    Raises:
        DataError: an identity is missing or comes twice in a frame, or a class does not exist.
    """
    rules = rules or Rules()
    return score(prepare(gt, result, rules), rules)[0]


def prepare(gt: MotTable, result: MotTable, rules: Rules) -> Sequence:
    """The rows that count, ground truth beside result.

    Raises:
        DataError: as `evaluate`.
    """
    kept = preprocess(check_tracks(gt), check_tracks(result), rules.benchmark, rules.classes)
    return pair_up(*kept)


def score(sequence: Sequence, rules: Rules, groups: Groups | None = None) -> list[Scores]:
    """What each group of boxes adds to the scores of a sequence; their sum is these.

    Identities are matched once, over the whole sequence.

    Args:
        sequence: prepared under the same rules.
        rules: for the overlap that makes a match.
        groups: of its boxes; all in one if not given.
    """
    groups = whole(sequence) if groups is None else groups
    counted = (
        hota(sequence, groups),
        clear(sequence, groups, rules.iou),
        identity(sequence, groups, rules.iou),
    )
    return [Scores(*group) for group in zip(*counted, strict=True)]


def combine(scores: Iterable[Scores]) -> Scores:
    """Scores over several sequences: counts are summed, so a longer sequence weighs more."""
    return reduce(add, scores)
