"""How sure the difference of two results is: a paired bootstrap.

B. Efron, R. Tibshirani: "An Introduction to the Bootstrap" (1993), percentile intervals. Paired,
with the share of resamples in which one is better: M. Bisani, H. Ney: "Bootstrap estimates for
confidence intervals in ASR performance evaluation", ICASSP (2004).

What is drawn must be independent. Sequences are, but there are rarely enough of them. Frames are
not, and neither are stretches of time: one wrong identity lowers the association of all the frames
of its object. Objects are, nearly; so an object is drawn with all that became of it over the whole
sequence. Boxes on no object are drawn by stretches of time (E. Carlstein: "The use of subseries
values for estimating the variance of a general statistic from a stationary sequence", Annals of
Statistics 14 (1986)).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation import hota
from pipeline.evaluation.clear import Clear
from pipeline.evaluation.evaluate import Rules, Scores, combine, score
from pipeline.evaluation.identity import Identity
from pipeline.evaluation.mot_files import MotTable
from pipeline.evaluation.overlap import EPSILON
from pipeline.evaluation.report import SHOWN, as_text
from pipeline.evaluation.sequence import Sequence, by_object
from pipeline.page.numbers import NONE, decimal, share

MANY_SEQUENCES = 10
"""From so many on, whole sequences are drawn."""

FEWEST_UNITS = 5
"""With fewer, resamples say nothing: there is no interval."""

STRETCH_S = 5.0
"""About how long a stretch of time is, whose boxes on no object are drawn together."""

_LESS_IS_BETTER = ("IDSW", "Frag", "FP", "FN")
_HOTA = len(fields(hota.Hota)) * len(hota.ALPHAS)

Units = list[list[Scores]]
"""What each unit adds to the scores, by kind of unit; each kind is drawn for itself."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One score of two results.

    Attributes:
        one: score of the first result.
        other: score of the second result.
        difference: ``one - other``.
        low: lower end of its 95 % interval; None where there are too few units.
        high: its upper end.
        better: share of the resamples in which the first is better; ties count half.
    """

    one: float
    other: float
    difference: float
    low: float | None
    high: float | None
    better: float | None

    @property
    def texts(self) -> tuple[str, ...]:
        """Both scores, their difference, its interval and the share, for people."""
        interval = NONE if self.low is None else f"{decimal(self.low)} … {decimal(self.high)}"
        figures = map(as_text, (self.one, self.other, self.difference))
        return (*figures, interval, share(self.better))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two results on the same sequences.

    Attributes:
        unit: what was drawn: ``objects`` or ``sequences``.
        units: how many there are.
        resamples: how often as many were drawn.
        seed: of the draws.
        differences: by score.
    """

    unit: str
    units: int
    resamples: int
    seed: int
    differences: dict[str, Difference]


def compare_sequences(
    sequences: Iterable[tuple[Sequence, Sequence, float]], rules: Rules
) -> Comparison:
    """Compares two results.

    Args:
        sequences: of each, what is scored of the first result and of the second, and its frames
            per second.
        rules: for the overlap that makes a match.
    """
    given = list(sequences)
    if len(given) >= MANY_SEQUENCES:
        whole = [[score(first, rules)[0] for first, _, _ in given]]
        against = [[score(second, rules)[0] for _, second, _ in given]]
        return compare(whole, against, "sequences")
    one: Units = [[], []]
    other: Units = [[], []]
    for first, second, fps in given:
        starts = _starts(first.gt, STRETCH_S * fps)
        for units, sequence in ((one, first), (other, second)):
            found = _by_object(sequence, rules, starts)
            units[0] += found[: len(sequence.gt_ids)]
            units[1] += found[len(sequence.gt_ids) :]
    return compare(one, other, "objects")


def compare(
    one: Units, other: Units, unit: str, resamples: int = 2000, seed: int = 0
) -> Comparison:
    """Scores of both results, and how their differences vary when units are drawn anew.

    Args:
        one: of the first result.
        other: of the second result, the same units in the same order.
        unit: what the first kind of units is.
        resamples: how many draws, each of as many units as there are.
        seed: of the draws.
    """
    totals = [
        combine(kind for kinds in units for kind in kinds).summary() for units in (one, other)
    ]
    draws: dict[str, NDArray[np.float64]] = {}
    if len(one[0]) >= FEWEST_UNITS:
        rng = np.random.default_rng(seed)
        sizes = [len(kind) for kind in one]
        weights = np.hstack([rng.multinomial(n, np.full(n, 1 / n), resamples) for n in sizes])
        ours, theirs = _drawn(one, weights), _drawn(other, weights)
        draws = {name: ours[name] - theirs[name] for name in SHOWN}
    differences = {
        name: _difference(
            totals[0][name], totals[1][name], name in _LESS_IS_BETTER, draws.get(name)
        )
        for name in SHOWN
    }
    return Comparison(unit, len(one[0]), resamples, seed, differences)


def _by_object(sequence: Sequence, rules: Rules, starts: list[int]) -> list[Scores]:
    """What each object adds to the scores, then each stretch with its boxes on no object.

    A box is on an object already from HOTA's lowest threshold on: what is found at one threshold
    and not at the next then stays one unit's affair.
    """
    matches = hota.match(sequence)
    on_object = matches.take(matches.iou >= hota.ALPHAS[0] - EPSILON)
    return score(sequence, rules, by_object(sequence, on_object, starts))


def _starts(gt: MotTable, frames: float) -> list[int]:
    """Where equal stretches of about so many frames begin, but for the first."""
    last = int(gt.frames.max(initial=1))
    count = max(1, round(last / frames))
    return [1 + round(number * last / count) for number in range(1, count)]


def _difference(
    one: float, other: float, less_is_better: bool, drawn: NDArray[np.float64] | None
) -> Difference:
    if drawn is None:
        return Difference(one, other, one - other, None, None, None)
    low, high = np.percentile(drawn, (2.5, 97.5)).tolist()
    gain = -drawn if less_is_better else drawn
    return Difference(
        one, other, one - other, low, high, float((gain > 0).mean() + (gain == 0).mean() / 2)
    )


def _drawn(units: Units, weights: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """(R,) by score, of R draws; `weights` (R, U) says how often each unit is in each."""
    sums = weights @ np.array([_as_row(unit) for kind in units for unit in kind])
    summaries = [_from_row(row).summary() for row in sums]
    return {name: np.array([summary[name] for summary in summaries]) for name in SHOWN}


def _as_row(scores: Scores) -> NDArray[np.float64]:
    """All sums, one after the other."""
    parts = (scores.hota, scores.clear, scores.identity)
    return np.concatenate([np.ravel(np.array(astuple(part), np.float64)) for part in parts])


def _from_row(row: NDArray[np.float64]) -> Scores:
    curves, counts, identities = np.split(row, [_HOTA, _HOTA + len(fields(Clear))])
    return Scores(
        hota.Hota(*curves.reshape(-1, len(hota.ALPHAS))),
        Clear(*counts.tolist()),
        Identity(*identities.tolist()),
    )
