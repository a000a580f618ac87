"""The association of one frame: rounds, each an assignment among what earlier rounds left free.

A round (`RoundSpec`) says which tracks and detections take part, what is compared and how alike a
pair must be. ByteTrack's first and second association (Zhang et al., ECCV 2022, algorithm 1) are
two rounds by overlap, DeepSORT's matching cascade (Wojke et al., ICIP 2017, listing 1) is a round
by appearance in which recent tracks choose first, and so on: see ``configs/trackers``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from pipeline.tracking.assignment import assign, isolated
from pipeline.tracking.book import CONFIRMED, TENTATIVE
from pipeline.tracking.cost import Indices, Pairs, Similarity, all_pairs, compared, grown
from pipeline.tracking.gallery import Embeddings
from pipeline.tracking.known import Found, Known, Mask
from pipeline.tracking.motion import GATE_BOX, Floats
from pipeline.tracking.spec import RoundSpec, TrackSpec
from pipeline.tracking.track import TrackState

#: What rounds by IoU compare, and others share.
_OVERLAP = RoundSpec()
#: Overlap from which a pair shows how the camera moved.
_SURE = 0.3


@dataclass(slots=True, eq=False)
class _Candidates:
    """Pairs that a round may choose from.

    Attributes:
        pairs: the class penalty is taken off.
        apart2: (P,) squared distance from foot to foot in heights of a box, once a round asked.
    """

    pairs: Pairs
    apart2: Floats | None = None


class Association:
    """The matching of one frame, built up round by round.

    Args:
        spec: rounds, scores and the class penalty.
        known: the N tracks.
        found: the M detections.
        similarity: what compares boxes and embeddings.
        nearness: in 0..1, of the last frame; the gates of boxes are multiplied by it.
    """

    def __init__(
        self,
        spec: TrackSpec,
        known: Known,
        found: Found,
        similarity: Similarity,
        nearness: float = 1.0,
    ) -> None:
        self._spec = spec
        self._nearness = nearness
        self._known = known
        self._found = found
        self._similarity = similarity
        self._overlapping: dict[tuple[str, str, float], _Candidates] = {}
        #: (N,) states of the tracks, in one piece.
        self._state = known.book["state"].copy()
        #: (N,) detection of each track, -1 where it has none.
        self.partner = np.full(len(known.book), -1, np.intp)
        #: (M,) whether the detection has no track.
        self.free = np.ones(len(found.detections), np.bool_)

    @cached_property
    def predicted_xyxy(self) -> Floats:
        """(N, 4) where the filter expects the tracks."""
        return self._known.motion.boxes_xyxy()

    def sure(self) -> tuple[Indices, Indices]:
        """Confirmed tracks and sure detections that overlap each other well and nothing else, (K,).

        A look ahead: nothing is matched by it.
        """
        pairs = self._by_boxes(_OVERLAP).pairs
        good = pairs.similarity >= _SURE
        good &= self._by_score(_OVERLAP).take(pairs.detections)
        good &= (self._state == CONFIRMED).take(pairs.tracks)
        pairs = pairs.where(good)
        if len(pairs):
            pairs = pairs.where(isolated(pairs))
        return pairs.tracks, pairs.detections

    def run(self, round_: RoundSpec) -> None:
        """Matches tracks and detections of that round that are free."""
        if round_.similarity == "cosine" and self._found.embeddings is None:
            return
        detections = self._by_score(round_)
        if not np.count_nonzero(detections & self.free):
            return
        pairs = self._with_terms(self._candidates(round_), round_)
        nearness = 1.0 if round_.similarity == "cosine" else self._nearness
        self._choose(pairs, round_, round_.tracks, detections, nearness * round_.at_least)
        if round_.newcomers:
            self._choose(pairs, round_, ("tentative",), detections, nearness * round_.newcomers)

    def matches(self) -> tuple[Indices, Indices]:
        """Tracks in rising order and their detections, (K,) and (K,)."""
        tracks = (self.partner >= 0).nonzero()[0]
        return tracks, self.partner.take(tracks)

    def missed(self) -> Indices:
        """Tracks without a detection, in rising order."""
        return (self.partner < 0).nonzero()[0]

    def rivalry(self) -> Floats:
        """For each detection (M,) its largest IoU with a settled track that did not get it."""
        pairs = self._by_boxes(_OVERLAP).pairs
        loses = self.partner.take(pairs.tracks) != pairs.detections
        loses &= (self._state != TENTATIVE).take(pairs.tracks)
        largest = np.zeros(len(self.free))
        np.maximum.at(largest, pairs.detections, pairs.similarity * loses)
        return largest

    def _choose(
        self,
        pairs: Pairs,
        round_: RoundSpec,
        states: tuple[str, ...],
        detections: Mask,
        at_least: float,
    ) -> None:
        """Matches free tracks in those states with free `detections` (M,) at least so similar."""
        tracks = self._free_tracks(states)
        if not np.count_nonzero(tracks):
            return
        mask = pairs.similarity >= at_least
        mask &= tracks.take(pairs.tracks)
        mask &= (detections & self.free).take(pairs.detections)
        if round_.mahalanobis:
            mask &= self._inside_gate(pairs)
        pairs = pairs.where(mask)
        for group in self._in_turn(pairs) if round_.recent_first else (pairs,):
            self._match(group)

    def _candidates(self, round_: RoundSpec) -> _Candidates:
        """What the round may choose from."""
        if round_.similarity == "cosine":
            assert self._found.embeddings is not None
            return self._by_appearance(round_, self._found.embeddings)
        return self._by_boxes(round_)

    def _by_boxes(self, round_: RoundSpec) -> _Candidates:
        """Pairs whose boxes are alike at all; worked out once for all rounds that compare alike."""
        key = (round_.similarity, round_.boxes, round_.grow)
        if key not in self._overlapping:
            observed = round_.boxes == "observed"
            tracks = self._known.book["box_xyxy"] if observed else self.predicted_xyxy
            boxes = self._found.detections.boxes_xyxy
            if round_.grow:
                tracks, boxes = grown(tracks, round_.grow), grown(boxes, round_.grow)
            if round_.similarity == "iou":
                pairs = self._similarity.overlaps(tracks, boxes)
            else:
                pairs = compared(round_.similarity, tracks, boxes)
            self._overlapping[key] = self._penalised(pairs, self._spec.class_penalty)
        return self._overlapping[key]

    def _by_appearance(self, round_: RoundSpec, embeddings: Embeddings) -> _Candidates:
        """Pairs of the tracks and detections of the round that have no partner yet."""
        tracks = self._free_tracks(round_.tracks).nonzero()[0]
        free = (self._by_score(round_) & self.free).nonzero()[0]
        i, j = all_pairs(len(tracks), len(free))
        alike = self._known.gallery.similarity(tracks, embeddings[free])
        if round_.margin:
            alike = alike * (alike >= _rivals(alike) + round_.margin)
        pairs = Pairs(tracks.take(i), free.take(j), alike.ravel())
        return self._penalised(pairs, class_penalty=1.0)

    def _penalised(self, pairs: Pairs, class_penalty: float) -> _Candidates:
        """The pairs with the class penalty taken off."""
        labels = self._known.book["label"].take(pairs.tracks)
        differ = labels != self._found.detections.labels.take(pairs.detections)
        if np.count_nonzero(differ):
            pairs.similarity[differ] -= class_penalty
        return _Candidates(pairs)

    def _apart2(self, pairs: Pairs) -> Floats:
        """How far the feet of the pairs are apart: squared, in heights of a box, (P,).

        Boxes of people who pass each other overlap in width most of all. What tells them apart is
        where they stand.
        """
        _, top, _, foot = self.predicted_xyxy.T
        _, found_top, _, found_foot = self._found.detections.boxes_xyxy.T
        height = (foot - top).take(pairs.tracks) + (found_foot - found_top).take(pairs.detections)
        apart = (foot.take(pairs.tracks) - found_foot.take(pairs.detections)) / height
        apart2: Floats = 4 * apart * apart
        return apart2

    def _free_tracks(self, states: tuple[str, ...]) -> Mask:
        """Which tracks are in these states and have no detection: mask (N,)."""
        return _taking_part(states).take(self._state) & (self.partner < 0)

    def _by_score(self, round_: RoundSpec) -> Mask:
        """Which detections have a score of the round's: mask (M,)."""
        spec, scores = self._spec, self._found.detections.scores
        if round_.detections == "high":
            return scores >= spec.high_score
        mask = scores >= spec.low_score
        if round_.detections == "low":
            mask &= scores < spec.high_score
        return mask

    def _with_terms(self, candidates: _Candidates, round_: RoundSpec) -> Pairs:
        """The candidates, their similarity with the round's further terms."""
        pairs, similarity = candidates.pairs, candidates.pairs.similarity
        if (round_.appearance or round_.appearance_gate) and self._found.embeddings is not None:
            similarity = _with_looks(similarity, self._cosines(pairs), round_)
        if round_.foot:
            if candidates.apart2 is None:
                candidates.apart2 = self._apart2(pairs)
            similarity = similarity * np.exp(-round_.foot * candidates.apart2)
        if round_.fuse_score:
            similarity = similarity * self._found.detections.scores.take(pairs.detections)
        if round_.momentum and self._known.path is not None:
            agreement = self._known.path.agreement(pairs, self._found.detections.boxes_xyxy)
            score = self._found.detections.scores.take(pairs.detections)
            similarity = similarity + round_.momentum * score * agreement
        return Pairs(pairs.tracks, pairs.detections, similarity)

    def _cosines(self, pairs: Pairs) -> Floats:
        """Cosine of each pair's embeddings, (P,); NaN where one of them was not looked at."""
        assert self._found.embeddings is not None
        return self._known.gallery.similarity_of(pairs, self._found.embeddings)

    def _inside_gate(self, pairs: Pairs) -> Mask:
        """Which pairs the filter thinks possible: mask (P,)."""
        boxes = self._found.detections.boxes_xyxy.take(pairs.detections, 0)
        return self._known.motion.squared_distances(pairs.tracks, boxes) <= GATE_BOX

    def _in_turn(self, pairs: Pairs) -> Iterator[Pairs]:
        """The pairs by when their track was seen, the most recent first, each of what is free."""
        seen_ns = self._known.book["seen_ns"].take(pairs.tracks)
        for at_ns in np.unique(seen_ns)[::-1]:
            yield pairs.where((seen_ns == at_ns) & self.free.take(pairs.detections))

    def _match(self, pairs: Pairs) -> None:
        """Assigns among `pairs`."""
        if not len(pairs):
            return
        matched = assign(pairs)
        self.partner[matched.tracks] = matched.detections
        self.free[matched.detections] = False


@cache
def _taking_part(names: tuple[str, ...]) -> Mask:
    """For each `TrackState` whether it is among these."""
    return np.array([state.name.lower() in names for state in TrackState])


def _with_looks(similarity: Floats, cosine: Floats, round_: RoundSpec) -> Floats:
    """The similarity of the pairs' boxes (P,) and looks (P,); boxes alone where a cosine is NaN.

    With `appearance`, what the looks say for or against a pair is added. `appearance_gate` is
    BoT-SORT's fusion (sec. 3.3, eq. 12 and 13): half the distance of the looks counts in place of
    the boxes', where both are small.
    """
    if round_.appearance_gate:
        alike = (cosine >= round_.appearance_gate) & (similarity >= 0.5)
        similarity = np.maximum(similarity, np.where(alike, 0.5 + 0.5 * cosine, 0.0))
    says = round_.appearance * (cosine - round_.same_from)
    return similarity + np.where(np.isnan(cosine), 0.0, says)


def _rivals(alike: Floats) -> Floats:
    """For each cell (N, M) the largest other one of its row and of its column, at least 0."""
    rivals = np.zeros_like(alike)
    for axis, count in enumerate(alike.shape):
        if count > 1:
            second, best = np.sort(alike, axis=axis).take([-2, -1], axis=axis).swapaxes(0, axis)
            is_best = alike == np.expand_dims(best, axis)
            other = np.where(is_best, np.expand_dims(second, axis), np.expand_dims(best, axis))
            rivals = np.maximum(rivals, other)
    return rivals
