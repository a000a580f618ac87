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

from pipeline.tracking.book import REMOVED, TENTATIVE, Book
from pipeline.tracking.cost import Indices
from pipeline.tracking.gallery import Gallery
from pipeline.tracking.motion import Floats
from pipeline.tracking.spec import TrackSpec

#: However young it was, a track is kept for so long after it was lost, seconds.
_GRACE_S = 0.2
#: Detections after which a track's looks are worth remembering.
_MEMORABLE = 5


def confirmed(book: Book, rows: Indices, spec: TrackSpec) -> NDArray[np.bool_]:
    """Which of the tracks `rows` (K,) enough is known of, or was before: mask (K,)."""
    ready: NDArray[np.bool_] = book["hits"].take(rows) >= spec.min_hits
    ready |= book["state"].take(rows) != TENTATIVE
    if spec.evidence:
        ready |= book["evidence"].take(rows) >= spec.evidence
    return ready


def patience_ns(book: Book, rows: Indices, spec: TrackSpec) -> Floats:
    """How long the tracks `rows` (K,) may stay unseen after they were missed, (K,) nanoseconds."""
    state = book["state"].take(rows)
    patience = np.full(len(rows), spec.max_lost_s * 1e9)
    if spec.lost_per_age:
        lived = book["seen_ns"].take(rows) - book["born_ns"].take(rows)
        patience = np.minimum(patience, _GRACE_S * 1e9 + spec.lost_per_age * lived)
    patience[state == TENTATIVE] = spec.tentative_lost_s * 1e9
    patience[state == REMOVED] = spec.remember_s * 1e9
    return patience


def memorable(book: Book, gallery: Gallery) -> NDArray[np.bool_]:
    """Which tracks are remembered by their looks when their time is over: mask (N,)."""
    settled = (book["state"] != TENTATIVE) & (book["state"] != REMOVED)
    mask: NDArray[np.bool_] = settled & (book["hits"] >= _MEMORABLE) & gallery.known
    return mask
