"""The rounds of the association: which pairs may match in which round.

Each round is an assignment among the tracks and detections that earlier rounds left free. `high`
and `low` are ByteTrack's first and second association (Zhang et al., ECCV 2022, algorithm 1), by
overlap; `reid` offers lost tracks the rest by appearance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.detections import Detections
from pipeline.tracking.assignment import assign
from pipeline.tracking.book import CONFIRMED, TENTATIVE, Book
from pipeline.tracking.cost import Indices, Pairs, Similarity, all_pairs
from pipeline.tracking.gallery import Embeddings, Gallery
from pipeline.tracking.motion import Floats
from pipeline.tracking.spec import TrackSpec


class Association:
    """The matching of one frame, built up round by round.

    Args:
        spec: gates and scores.
        book: the N tracks.
        boxes_xyxy: (N, 4) their predicted boxes.
        detections: the M detections.
        similarity: what compares boxes.
    """

    def __init__(
        self,
        spec: TrackSpec,
        book: Book,
        boxes_xyxy: Floats,
        detections: Detections,
        similarity: Similarity,
    ) -> None:
        self._spec = spec
        self._book = book
        self._detections = detections
        self._state = book["state"]
        #: (N,) detection of each track, -1 where it has none.
        self.partner = np.full(len(book), -1, np.intp)
        #: (M,) whether the detection has no track.
        self.free = np.ones(len(detections), np.bool_)
        self._overlap = similarity.overlaps(boxes_xyxy, detections.boxes_xyxy)
        self._penalise_class()
        self._score = detections.scores.take(self._overlap.detections)
        self._state_of = self._state.take(self._overlap.tracks)

    def high(self) -> None:
        """Detections of a high score: to confirmed and lost tracks, what is left to tentative."""
        spec, pairs = self._spec, self._overlap
        if spec.fuse_score:
            pairs = Pairs(pairs.tracks, pairs.detections, pairs.similarity * self._score)
        high = self._score >= spec.high_score
        settled = self._state_of != TENTATIVE
        self._match(pairs, high & settled & (pairs.similarity >= spec.iou.high))
        if not settled.all():
            tentative = high & ~settled & self._open()
            self._match(pairs, tentative & (pairs.similarity >= spec.iou.tentative))

    def low(self) -> None:
        """Detections of a low score: to confirmed tracks; a lost one would catch any clutter."""
        spec, pairs = self._spec, self._overlap
        low = (self._score < spec.high_score) & (pairs.similarity >= spec.iou.low)
        if low.any():
            low &= (self._score >= spec.low_score) & (self._state_of == CONFIRMED) & self._open()
            self._match(pairs, low)

    def reid(self, gallery: Gallery, embeddings: Embeddings) -> None:
        """Detections of a high score that look like a lost track of their class: back to it.

        Args:
            gallery: of the N tracks.
            embeddings: (M, D) of the detections.
        """
        lost = np.flatnonzero((self._state != TENTATIVE) & (self.partner < 0))
        high = np.flatnonzero((self._detections.scores >= self._spec.high_score) & self.free)
        i, j = all_pairs(len(lost), len(high))
        tracks, detections = lost[i], high[j]
        alike = gallery.similarity(lost, embeddings[high]).ravel()
        same = self._book["label"][tracks] == self._detections.labels[detections]
        good = same & (alike >= self._spec.reid_similarity)
        self._match(Pairs(tracks, detections, alike), good)

    def matches(self) -> tuple[Indices, Indices]:
        """Tracks in rising order and their detections, (K,) and (K,)."""
        tracks = (self.partner >= 0).nonzero()[0]
        return tracks, self.partner.take(tracks)

    def _penalise_class(self) -> None:
        """Takes `class_penalty` off the pairs whose classes differ."""
        pairs = self._overlap
        labels = self._detections.labels.take(pairs.detections)
        differ = self._book["label"].take(pairs.tracks) != labels
        if differ.any():
            pairs.similarity[differ] -= self._spec.class_penalty

    def _open(self) -> NDArray[np.bool_]:
        """Which of the overlapping pairs have neither partner yet: mask (P,)."""
        pairs = self._overlap
        return self.free.take(pairs.detections) & (self.partner.take(pairs.tracks) < 0)

    def _match(self, pairs: Pairs, mask: NDArray[np.bool_]) -> None:
        """Assigns among those of `pairs` in `mask`, all of whose partners are free."""
        matched = assign(pairs.where(mask))
        self.partner[matched.tracks] = matched.detections
        self.free[matched.detections] = False
