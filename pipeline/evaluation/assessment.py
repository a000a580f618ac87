"""All that a report says of one result, and of another that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.evaluation.clear import match
from pipeline.evaluation.continuity import Event, events, fragmentations, switches
from pipeline.evaluation.evaluate import Rules, Scores, combine, prepare, score
from pipeline.evaluation.pairs import Pair
from pipeline.evaluation.report import COMBINED, Summaries
from pipeline.evaluation.sequence import Sequence
from pipeline.evaluation.timeline import FalseTrack, Lane, false_tracks, lanes


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """One sequence, looked into.

    Attributes:
        name: of the sequence.
        sequence: the boxes that count.
        switches: where an object goes to another track, in order of time.
        fragmentations: where an object is taken up again, in order of time.
        lanes: what became of each object; most switches first.
        false_tracks: tracks that are mostly on nothing; most false boxes first.
    """

    name: str
    sequence: Sequence
    switches: list[Event]
    fragmentations: list[Event]
    lanes: list[Lane]
    false_tracks: list[FalseTrack]


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A tracker's result on all sequences, scored.

    Attributes:
        name: what it is called, such as its path.
        sequences: the boxes that count, by sequence.
        scores: of each sequence, and over all of them where there are several.
    """

    name: str
    sequences: Mapping[str, Sequence]
    scores: Mapping[str, Scores]

    @property
    def summaries(self) -> Summaries:
        """Every score by its usual name."""
        return {name: scores.summary() for name, scores in self.scores.items()}


def read_result(name: str, pairs: list[Pair], rules: Rules, gt_scale: float = 1.0) -> Result:
    """Reads and scores a result.

    Raises:
        DataError: as `Pair.read` and `prepare`.
    """
    sequences = {pair.name: prepare(*pair.read(gt_scale), rules) for pair in pairs}
    scores = {of: score(sequence, rules)[0] for of, sequence in sequences.items()}
    if len(scores) > 1:
        scores[COMBINED] = combine(list(scores.values()))
    return Result(name, sequences, scores)


def assess(name: str, sequence: Sequence, rules: Rules) -> Assessment:
    """Looks into a sequence that was prepared under the same rules."""
    matches = match(sequence, rules.iou)
    switched = events(sequence, matches, switches(matches))
    return Assessment(
        name,
        sequence,
        switched,
        events(sequence, matches, fragmentations(matches)),
        lanes(sequence, matches, switched),
        false_tracks(sequence, matches),
    )
