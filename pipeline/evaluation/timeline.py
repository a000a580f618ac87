"""What became of each object, and which tracks are of none: along the frames of a sequence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.continuity import Event
from pipeline.evaluation.sequence import Matches, Sequence

_MISSED = -1


@dataclass(frozen=True, slots=True)
class Span:
    """Successive frames in which an object is there and fares alike.

    Attributes:
        first: frame.
        last: frame, included.
        track: that has the object; None where it is missed.
    """

    first: int
    last: int
    track: int | None


@dataclass(frozen=True, slots=True)
class Lane:
    """One identity of the ground truth through time.

    Attributes:
        gt_id: the identity.
        spans: in order of time; between them it is not in the ground truth.
        switches: where its track changes.
    """

    gt_id: int
    spans: tuple[Span, ...]
    switches: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class FalseTrack:
    """A track of which fewer than half of the boxes are on an object.

    Attributes:
        track: its identity.
        first: its first frame.
        last: its last frame.
        boxes: how many it has.
        matched: how many of them are on an object.
    """

    track: int
    first: int
    last: int
    boxes: int
    matched: int


def lanes(sequence: Sequence, matches: Matches, switches: list[Event]) -> list[Lane]:
    """A lane for each object; those with the most switches first, then by identity."""
    of_object: dict[int, list[Span]] = {gt_id: [] for gt_id in sequence.gt_ids.tolist()}
    for gt_id, span in _spans(sequence, matches):
        of_object[gt_id].append(span)
    changed: dict[int, list[Event]] = {gt_id: [] for gt_id in of_object}
    for event in switches:
        changed[event.gt_id].append(event)
    found = [Lane(i, tuple(spans), tuple(changed[i])) for i, spans in of_object.items()]
    return sorted(found, key=lambda lane: (-len(lane.switches), lane.gt_id))


def false_tracks(sequence: Sequence, matches: Matches) -> list[FalseTrack]:
    """Tracks of which fewer than half of the boxes are matched; most false boxes first."""
    matched = np.bincount(matches.result, minlength=len(sequence.result_ids))
    found = []
    for dense in np.flatnonzero(2 * matched < sequence.result_boxes):
        track = int(sequence.result_ids[dense])
        frames = sequence.result.frames[sequence.result.ids == track]
        size, hits = int(sequence.result_boxes[dense]), int(matched[dense])
        found.append(FalseTrack(track, int(frames.min()), int(frames.max()), size, hits))
    return sorted(found, key=lambda track: (track.matched - track.boxes, track.track))


def _spans(sequence: Sequence, matches: Matches) -> list[tuple[int, Span]]:
    """Each span with its object's identity; those of one object in order of time."""
    order = np.lexsort((sequence.gt.frames, sequence.gt.ids))
    ids, frames = sequence.gt.ids[order], sequence.gt.frames[order]
    tracks = _tracks(sequence, matches)[order]
    breaks = (np.diff(ids) != 0) | (np.diff(frames) != 1) | (np.diff(tracks) != 0)
    starts = np.concatenate([[0], np.flatnonzero(breaks) + 1])[: len(ids)]
    ends = np.concatenate([starts[1:] - 1, [len(ids) - 1]])[: len(starts)]
    return [
        (gt_id, Span(first, last, None if track == _MISSED else track))
        for gt_id, first, last, track in zip(
            ids[starts].tolist(),
            frames[starts].tolist(),
            frames[ends].tolist(),
            tracks[starts].tolist(),
            strict=True,
        )
    ]


def _tracks(sequence: Sequence, matches: Matches) -> NDArray[np.int64]:
    """(N,) the track that has each box of the ground truth, or `_MISSED`."""
    frames = np.array([step.frame for step in sequence.steps], np.int64)
    had = dict(
        zip(
            zip(frames[matches.step].tolist(), sequence.gt_ids[matches.gt].tolist(), strict=True),
            sequence.result_ids[matches.result].tolist(),
            strict=True,
        )
    )
    boxes = zip(sequence.gt.frames.tolist(), sequence.gt.ids.tolist(), strict=True)
    return np.array([had.get(box, _MISSED) for box in boxes], np.int64)
