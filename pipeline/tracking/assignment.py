"""Which track gets which detection: the optimal gated assignment.

The objective: of all matchings over the given pairs, each track and each detection used at most
once, one with the largest sum of similarities. Pairs that were gated out do not exist; as every
similarity is positive, no two partners that are both free stay unmatched.

Most of it is decided without an assignment problem. A pair (i, j) belongs to the optimum if

    s_ij > best other s_ik of its track + best other s_lj of its detection,

because putting it into any matching costs at most these two. An isolated pair, the only one of its
track and of its detection, is the common case (both others are 0), and the only one looked for
where pairs are few. Decided pairs take their rivals away; only what is then left goes to
`linear_sum_assignment` (modified Jonker-Volgenant; D. F. Crouse, On implementing 2D rectangular
assignment algorithms, IEEE TAES 2016), as a dense matrix of the tracks and detections in question.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipeline.tracking.cost import Indices, Pairs
from pipeline.tracking.motion import Floats

#: From so many pairs on, deciding more than the isolated ones costs less than assigning the rest.
_MANY = 200


def assign(pairs: Pairs) -> Pairs:
    """The optimal matching over `pairs`, whose similarities are positive.

    The same pairs in the same order give the same matching, also where several are optimal.
    """
    many = len(pairs) > _MANY
    certain = dominant(pairs) if many else isolated(pairs)
    if np.count_nonzero(certain) == len(pairs):
        return pairs
    chosen = pairs.where(certain)
    # Isolated pairs have no rivals that they could take away.
    rest = _solve(pairs.where(_unrelated(pairs, chosen) if many else ~certain))
    return Pairs(
        np.concatenate((chosen.tracks, rest.tracks)),
        np.concatenate((chosen.detections, rest.detections)),
        np.concatenate((chosen.similarity, rest.similarity)),
    )


def isolated(pairs: Pairs) -> NDArray[np.bool_]:
    """Which pairs are the only one of their track and of their detection: mask (P,)."""
    of_track = np.bincount(pairs.tracks).take(pairs.tracks)
    of_detection = np.bincount(pairs.detections).take(pairs.detections)
    alone: NDArray[np.bool_] = of_track * of_detection == 1
    return alone


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
    return largest.take(owner)


def _count(owner: Indices, mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """For each pair how many of its owner's pairs are in `mask`: (P,), (P,) → (P,)."""
    return np.bincount(owner[mask], minlength=owner.max() + 1).take(owner)


def _unrelated(pairs: Pairs, chosen: Pairs) -> NDArray[np.bool_]:
    """Which pairs share neither a track nor a detection with one of `chosen`: mask (P,)."""
    track_free = np.ones(pairs.tracks.max(initial=0) + 1, np.bool_)
    detection_free = np.ones(pairs.detections.max(initial=0) + 1, np.bool_)
    track_free[chosen.tracks] = False
    detection_free[chosen.detections] = False
    return track_free.take(pairs.tracks) & detection_free.take(pairs.detections)


def _solve(pairs: Pairs) -> Pairs:
    """The optimal matching by a dense assignment problem of the rows and columns that occur."""
    tracks, row = _compact(pairs.tracks)
    detections, column = _compact(pairs.detections)
    similarity = np.zeros((len(tracks), len(detections)))
    similarity[row, column] = pairs.similarity
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    value = similarity[rows, columns]
    # A partner of similarity 0 is no pair: this track or detection stays alone.
    return Pairs(tracks[rows], detections[columns], value).where(value > 0)


def _compact(owner: Indices) -> tuple[Indices, Indices]:
    """The owners that occur, in rising order, and where each of `owner` is among them."""
    occurring = np.bincount(owner).nonzero()[0]
    return occurring, occurring.searchsorted(owner)
