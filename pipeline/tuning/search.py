"""Searches the parameters of a tracker on sequences whose truth is known, and says what it gained.

The search is local and random. A *round* is eight candidates; each moves two keys of the best one
so far by normal steps, which shrink from a quarter of a key's range in the first round to a
twentieth in the last (`search_space`). The best of a round is kept if it scores higher.

What was chosen because it scores well on some sequences scores well on these: that is no gain yet.
So the search is repeated once for every sequence, on all the others, and what it then finds is
scored on the one that it did not see (leave one out). The sum of these is the honest score. All the
searches go on side by side: as long as they agree, they share their candidates and their scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.evaluation.evaluate import Scores, combine
from pipeline.tuning.search_space import Point, Range, moved

ROUND = 8
_FIRST_WIDTH, _LAST_WIDTH = 0.25, 0.05

#: A point and the number of a sequence; what is scored.
Trial = tuple[Point, int]
#: Scores trials, in any order it likes; the scores come in the order of the trials.
Scorer = Callable[[Sequence[Trial]], Iterable[Scores]]


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """What a search found.

    Attributes:
        point: the best on all sequences.
        before: each sequence's scores with the point that the search began at.
        after: each sequence's scores with `point`, which was chosen on it as well.
        on_others: for each sequence the best point on the others; none for one sequence.
        unseen: each sequence's scores with that.
        trials: how many trackers were run over a sequence.
    """

    point: Point
    before: list[Scores]
    after: list[Scores]
    on_others: list[Point]
    unseen: list[Scores]
    trials: int


@dataclass(slots=True)
class _Search:
    """One search: the sequences it may look at, and its best point so far."""

    on: tuple[int, ...]
    best: Point


@dataclass(slots=True)
class _Board:
    """The scores of all trials so far."""

    score: Scorer
    metric: str
    known: dict[tuple[tuple[tuple[str, float], ...], int], Scores] = field(default_factory=dict)

    def fill(self, trials: Iterable[Trial]) -> None:
        """Scores those that have no score yet."""
        new = {_key(trial): trial for trial in trials if _key(trial) not in self.known}
        self.known.update(zip(new, self.score([*new.values()]), strict=True))

    def of(self, point: Point, on: Iterable[int]) -> list[Scores]:
        """The scores of a point on these sequences."""
        return [self.known[_key((point, number))] for number in on]

    def value(self, point: Point, on: Iterable[int]) -> float:
        """The metric of a point over these sequences together."""
        return combine(self.of(point, on)).summary()[self.metric]


def tune(
    start: Point,
    ranges: Mapping[str, Range],
    sequences: int,
    score: Scorer,
    *,
    metric: str = "HOTA",
    budget: int = 48,
    seed: int = 0,
    on_round: Callable[[int, int], None] = lambda done, of: None,
) -> Tuned:
    """Searches.

    Args:
        start: the point to begin at.
        ranges: of the keys to change.
        sequences: how many there are.
        score: runs the tracker; the result does not depend on how it goes about it.
        metric: name of the score that shall be high, one of `Scores.summary`.
        budget: candidates of one search; rounded up to whole rounds.
        seed: of all chance.
        on_round: called after each round with its number from 1, and how many there are.
    """
    everything = tuple(range(sequences))
    searches = [_Search(everything, start)]
    if sequences > 1:
        searches += [_Search(everything[:i] + everything[i + 1 :], start) for i in everything]
    board = _Board(score, metric)
    rounds = -(-budget // ROUND)
    for number in range(rounds):
        width = _FIRST_WIDTH * (_LAST_WIDTH / _FIRST_WIDTH) ** (number / max(rounds - 1, 1))
        _go_on(searches, board, [(seed, number, each) for each in range(ROUND)], ranges, width)
        on_round(number + 1, rounds)
    whole, *parts = searches
    board.fill((part.best, left_out) for left_out, part in enumerate(parts))
    return Tuned(
        whole.best,
        board.of(start, everything),
        board.of(whole.best, everything),
        [part.best for part in parts],
        [s for left_out, part in enumerate(parts) for s in board.of(part.best, [left_out])],
        len(board.known),
    )


def _go_on(
    searches: Sequence[_Search],
    board: _Board,
    seeds: Sequence[Sequence[int]],
    ranges: Mapping[str, Range],
    width: float,
) -> None:
    """One round of all searches."""
    candidates = [
        [search.best, *(moved(search.best, ranges, width, seed) for seed in seeds)]
        for search in searches
    ]
    board.fill(
        (point, number)
        for search, points in zip(searches, candidates, strict=True)
        for point in points
        for number in search.on
    )
    for search, points in zip(searches, candidates, strict=True):
        # Of equals the first: the best so far stays.
        search.best = max(points, key=lambda point: board.value(point, search.on))


def _key(trial: Trial) -> tuple[tuple[tuple[str, float], ...], int]:
    point, number = trial
    return tuple(sorted(point.items())), number
