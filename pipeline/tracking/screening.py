"""Which tracks are good enough to be given out: the track-ID screening rules.

A track is screened by its whole life, not by its last detection: its mean score and its mean area.
(`min_hits` decides when a track is confirmed, see `tracker`.) Its class is the vote kept by `Book`:
every detection votes for its class with its score, over the whole life.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.book import Book
from pipeline.tracking.spec import TrackSpec


def screened(book: Book, spec: TrackSpec) -> NDArray[np.bool_]:
    """Which tracks pass `min_score` and `min_area`: mask (N,)."""
    hits = book["hits"]
    passed = np.ones(len(book), np.bool_)
    if spec.min_score > 0:
        passed &= book.votes.sum(axis=1) >= spec.min_score * hits
    if spec.min_area > 0:
        passed &= book["area_sum"] >= spec.min_area * hits
    return passed
