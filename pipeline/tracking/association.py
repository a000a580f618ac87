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
from pipeline.tracking.book import Book
from pipeline.tracking.cost import Indices, Pairs, all_pairs, iou, overlapping
from pipeline.tracking.gallery import Embeddings, Gallery
from pipeline.tracking.motion import Floats
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.track import TrackState


class Association:
    """The matching of one frame, built up round by round.

    Args:
        spec: gates and scores.
        book: the N tracks.
        boxes_xyxy: (N, 4) their predicted boxes.
        detections: the M detections.
    """

    def __init__(
        self, spec: TrackSpec, book: Book, boxes_xyxy: Floats, detections: Detections
    ) -> None:
        self._spec = spec
        self._book = book
        self._detections = detections
        self._state = book["state"]
        #: (N,) detection of each track, -1 where it has none.
        self.partner = np.full(len(book), -1, np.intp)
        #: (M,) whether the detection has no track.
        self.free = np.ones(len(detections), np.bool_)
        self._overlap = self._overlaps(boxes_xyxy)

    def high(self) -> None:
        """Detections of a high score: to confirmed and lost tracks, what is left to tentative."""
        spec, pairs = self._spec, self._overlap
        scores = self._detections.scores[pairs.detections]
        high = scores >= spec.high_score
        if spec.fuse_score:
            pairs = Pairs(pairs.tracks, pairs.detections, pairs.similarity * scores)
        tentative = self._state[pairs.tracks] == TrackState.TENTATIVE
        self._match(pairs, high & ~tentative, spec.iou.high)
        self._match(pairs, high & tentative, spec.iou.tentative)

    def low(self) -> None:
        """Detections of a low score: to confirmed tracks; a lost one would catch any clutter."""
        pairs = self._overlap
        low = self._detections.scores[pairs.detections] < self._spec.high_score
        low &= self._state[pairs.tracks] == TrackState.CONFIRMED
        self._match(pairs, low, self._spec.iou.low)

    def reid(self, gallery: Gallery, embeddings: Embeddings) -> None:
        """Detections of a high score that look like a lost track of their class: back to it.

        Args:
            gallery: of the N tracks.
            embeddings: (M, D) of the detections.
        """
        lost = np.flatnonzero((self._state != TrackState.TENTATIVE) & (self.partner < 0))
        high = np.flatnonzero((self._detections.scores >= self._spec.high_score) & self.free)
        tracks, detections = all_pairs(lost, high)
        same = self._book["label"][tracks] == self._detections.labels[detections]
        tracks, detections = tracks[same], detections[same]
        likeness = gallery.similarity(tracks, embeddings[detections])
        pairs = Pairs(tracks, detections, likeness)
        self._match(pairs, np.ones(len(pairs), np.bool_), self._spec.reid_similarity)

    def _overlaps(self, boxes_xyxy: Floats) -> Pairs:
        """All pairs that overlap, less the penalty where the classes differ."""
        found = self._detections
        tracks, detections = overlapping(boxes_xyxy, found.boxes_xyxy)
        similarity = iou(boxes_xyxy[tracks], found.boxes_xyxy[detections])
        differ = self._book["label"][tracks] != found.labels[detections]
        similarity -= self._spec.class_penalty * differ
        return Pairs(tracks, detections, similarity)

    def _match(self, pairs: Pairs, mask: NDArray[np.bool_], gate: float) -> None:
        """Assigns among those of `pairs` in `mask` that are free and as alike as `gate`."""
        mask = mask & (pairs.similarity >= gate) & (pairs.similarity > 0)
        mask &= self.free[pairs.detections] & (self.partner[pairs.tracks] < 0)
        if mask.any():
            tracks, detections = assign(pairs.where(mask))
            self.partner[tracks] = detections
            self.free[detections] = False

    def matches(self) -> tuple[Indices, Indices]:
        """Tracks in rising order and their detections, (K,) and (K,)."""
        tracks = np.flatnonzero(self.partner >= 0)
        return tracks, self.partner[tracks]
