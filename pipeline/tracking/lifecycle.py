"""When a track is confirmed, and how long it may stay unseen.

Two rules are not from the literature. A track is confirmed by *evidence*: with s the score of a
detection, taken for the probability that it is an object, the probability that all detections of a
track are mistakes is Π (1 - s), so Σ -ln(1 - s) measures how surely it is none. Three detections of
a detector that is sure say more than five of one that is not. And a lost track is kept *no longer
than it lived*: what is known of an object for a moment foretells a moment.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.book import REMOVED, TENTATIVE
from pipeline.tracking.motion import Floats
from pipeline.tracking.spec import TrackSpec

#: However young it was, a track is kept for so long after it was lost, seconds.
_GRACE_S = 0.2
#: Detections after which a track's looks are worth remembering.
_MEMORABLE = 5
#: A track is looked for at least once, however small `max_lost_s`, in a frame that comes within
#: this time, seconds.
_ONE_LOOK_S = 1.0


def confirmed(records: NDArray[np.void], spec: TrackSpec) -> NDArray[np.bool_]:
    """Which of the tentative tracks with these records (K,) enough is known of: mask (K,)."""
    ready: NDArray[np.bool_] = records["hits"] >= spec.min_hits
    if spec.evidence:
        ready |= records["evidence"] >= spec.evidence
    return ready


def patience_ns(
    records: NDArray[np.void], looks_known: NDArray[np.bool_], spec: TrackSpec
) -> Floats:
    """How long the missed tracks with these records (K,) may stay unseen, (K,) nanoseconds.

    Where its looks are known (mask (K,)), a track is told from others however short it lived.
    """
    state = records["state"]
    patience = np.full(len(records), spec.max_lost_s * 1e9)
    if spec.lost_per_age:
        lived = records["seen_ns"] - records["born_ns"]
        short = np.minimum(patience, _GRACE_S * 1e9 + spec.lost_per_age * lived)
        patience = np.where(looks_known, patience, short)
    patience[state == TENTATIVE] = spec.tentative_lost_s * 1e9
    patience[state == REMOVED] = spec.remember_s * 1e9
    return patience


def longest_unseen_s(spec: TrackSpec) -> float:
    """Longer than this no track stays unseen without being removed, seconds."""
    return max(spec.max_lost_s, _ONE_LOOK_S)


def memorable(records: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which tracks with these records (K,) have looks worth remembering: mask (K,)."""
    settled = (records["state"] != TENTATIVE) & (records["state"] != REMOVED)
    mask: NDArray[np.bool_] = settled & (records["hits"] >= _MEMORABLE)
    return mask
