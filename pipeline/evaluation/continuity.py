"""Where the identity of an object changes, and where its track is interrupted.

Both as CLEAR MOT counts them: an object's matches are followed through time; see `clear.match`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.sequence import Matches, Sequence

Rows = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Positions in the matches: the last one before the event, and the one that makes it."""


@dataclass(frozen=True, slots=True)
class Event:
    """An object is taken up again, by another track or after a pause.

    Attributes:
        frame: where it is taken up again.
        gt_id: identity of the object in the ground truth.
        before: track that had it last.
        after: track that has it now.
        since: the last frame in which `before` had it.
    """

    frame: int
    gt_id: int
    before: int
    after: int
    since: int


def switches(matches: Matches) -> Rows:
    """Identity switches: an object's next match is with another track; in order of time."""
    earlier, later = _successive(matches)
    switched = matches.result[earlier] != matches.result[later]
    return earlier[switched], later[switched]


def fragmentations(matches: Matches) -> Rows:
    """Fragmentations: an object's next match is not in the next step; in order of time."""
    earlier, later = _successive(matches)
    resumed = matches.step[later] - matches.step[earlier] > 1
    return earlier[resumed], later[resumed]


def events(sequence: Sequence, matches: Matches, rows: Rows) -> list[Event]:
    """The same with the frames and identities of the files."""
    frames = np.array([step.frame for step in sequence.steps], np.int64)
    earlier, later = rows
    columns = (
        frames[matches.step[later]],
        sequence.gt_ids[matches.gt[later]],
        sequence.result_ids[matches.result[earlier]],
        sequence.result_ids[matches.result[later]],
        frames[matches.step[earlier]],
    )
    return [Event(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _successive(matches: Matches) -> Rows:
    """Each match that is not its object's first, after the one before it; in order of time."""
    order = np.lexsort((matches.step, matches.gt))
    same_object = np.diff(matches.gt[order]) == 0
    earlier, later = order[:-1][same_object], order[1:][same_object]
    by_time = np.argsort(later)
    return earlier[by_time], later[by_time]
