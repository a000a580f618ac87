"""Which track gets which detection: the optimal gated assignment.

The objective: of all matchings over the given pairs, each track and each detection used at most
once, one with the largest sum of similarities. Pairs that were gated out do not exist; as every
similarity is positive, no two partners that are both free stay unmatched.

Most of it is decided without an assignment problem. A pair (i, j) belongs to the optimum if

    s_ij > best other s_ik of its track + best other s_lj of its detection,

because putting it into any matching costs at most these two. An isolated pair, the only one of its
track and of its detection, is the common case (both others are 0). Decided pairs take their rivals
away, which decides further pairs. Only what then is left goes to `linear_sum_assignment` (modified
Jonker-Volgenant; D. F. Crouse, On implementing 2D rectangular assignment algorithms, IEEE TAES
2016), as a dense matrix of the tracks and detections still in question.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipeline.tracking.cost import Indices, Pairs
from pipeline.tracking.motion import Floats


def assign(pairs: Pairs) -> tuple[Indices, Indices]:
    """The optimal matching over `pairs`, whose similarities are positive.

    Returns:
        Tracks and detections (K,), k-th with k-th. The same pairs in the same order give the same
        matching, also where several are optimal.
    """
    matched: list[tuple[Indices, Indices]] = []
    while len(pairs):
        decided = dominant(pairs)
        if not decided.any():
            matched.append(_solve(pairs))
            break
        chosen = pairs.tracks[decided], pairs.detections[decided]
        matched.append(chosen)
        if len(chosen[0]) == len(pairs):
            break
        pairs = pairs.where(_unrelated(pairs, *chosen))
    if len(matched) == 1:
        return matched[0]
    if not matched:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    tracks, detections = zip(*matched, strict=True)
    return np.concatenate(tracks), np.concatenate(detections)


def dominant(pairs: Pairs) -> NDArray[np.bool_]:
    """Which pairs are more alike than the best rivals of both sides together: mask (P,)."""
    similarity = pairs.similarity
    best = (similarity == _largest(pairs.tracks, similarity)) & (
        similarity == _largest(pairs.detections, similarity)
    )
    rivals = np.where(best, 0.0, similarity)
    others = _largest(pairs.tracks, rivals) + _largest(pairs.detections, rivals)
    # Of pairs that are equally best on one side none is dominant, but `rivals` lost them all.
    alone = _count(pairs.tracks, best) * _count(pairs.detections, best) == 1
    decided: NDArray[np.bool_] = best & alone & (similarity > others)
    return decided


def _largest(owner: Indices, values: Floats) -> Floats:
    """For each pair the largest of its owner's values: (P,), (P,) ≥ 0 → (P,)."""
    largest = np.zeros(owner.max() + 1)
    np.maximum.at(largest, owner, values)
    return largest[owner]


def _count(owner: Indices, mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """For each pair how many of its owner's pairs are in `mask`: (P,), (P,) → (P,)."""
    return np.bincount(owner[mask], minlength=owner.max() + 1)[owner]


def _unrelated(pairs: Pairs, tracks: Indices, detections: Indices) -> NDArray[np.bool_]:
    """Which pairs have neither a track nor a detection among these: mask (P,)."""
    track_free = np.ones(pairs.tracks.max() + 1, np.bool_)
    detection_free = np.ones(pairs.detections.max() + 1, np.bool_)
    track_free[tracks] = False
    detection_free[detections] = False
    return track_free[pairs.tracks] & detection_free[pairs.detections]


def _solve(pairs: Pairs) -> tuple[Indices, Indices]:
    """The optimal matching by a dense assignment problem of the rows and columns that occur."""
    tracks, row = np.unique(pairs.tracks, return_inverse=True)
    detections, column = np.unique(pairs.detections, return_inverse=True)
    similarity = np.zeros((len(tracks), len(detections)))
    similarity[row, column] = pairs.similarity
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    possible = similarity[rows, columns] > 0
    return tracks[rows[possible]], detections[columns[possible]]
