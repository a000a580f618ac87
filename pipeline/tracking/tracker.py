"""The tracker of one camera: predict, associate, update, initiate, remove.

SORT's loop (Bewley et al., ICIP 2016) with ByteTrack's association (Zhang et al., ByteTrack:
multi-object tracking by associating every detection box, ECCV 2022, algorithm 1): detections of a
high score are matched first; the confirmed tracks that remain are then offered those of a low
score, which are more often clutter than a new object but do show where a known one went. A third
round gives lost tracks back their identity by appearance.

A track's life. An unmatched detection of at least `new_score` starts a *tentative* track. Hit
`min_hits` times it is *confirmed* and given out; a miss before that removes it (later than
`tentative_lost_s`). In the first frame of a session there is nothing to be confused with, so tracks
that start there are confirmed at once. A confirmed track that is not matched in a frame is *lost*:
it is predicted on, not given out, and becomes confirmed again when matched, else it is *removed*
when `max_lost_s` have passed since its last detection.

Time is the presentation time of the frames: nothing counts frames but `min_hits`, which counts
detections. A frame that is missing only makes the next step longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.detections import Detections
from pipeline.errors import PacketError
from pipeline.tracking.association import Association
from pipeline.tracking.book import CONFIRMED, LOST, TENTATIVE, Book
from pipeline.tracking.cost import Indices, Similarity
from pipeline.tracking.gallery import Embeddings, Gallery
from pipeline.tracking.kalman import Kalman
from pipeline.tracking.motion import Floats, Motion
from pipeline.tracking.screening import screened
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.track import Tracks

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """M detections of one frame with their embeddings (M, D), where there are any."""

    detections: Detections
    embeddings: Embeddings | None

    def take(self, index: Indices | Mask) -> Found:
        """Those at `index` (positions in any order, or a mask)."""
        embeddings = None if self.embeddings is None else self.embeddings[index]
        return Found(self.detections.take(index), embeddings)


class Tracker:
    """The tracks of one camera in one session. Ids count up from 1 and are never used again.

    Args:
        spec: the configuration's `track` section.
        similarity: what compares boxes and embeddings; plain numpy by default.
    """

    def __init__(self, spec: TrackSpec | None = None, similarity: Similarity | None = None) -> None:
        self._spec = spec or TrackSpec()
        self._similarity = similarity or Similarity()
        self._motion = _motion(self._spec.motion)
        self._book = Book()
        self._gallery = Gallery(self._spec.reid_momentum, self._similarity)
        self._pts_ns: int | None = None
        self._next_id = 1
        self._first = True

    def update(
        self, detections: Detections, pts_ns: int, embeddings: Embeddings | None = None
    ) -> Tracks:
        """The tracks after a frame in which these objects were detected.

        Args:
            detections: M of this frame, in source pixels, in any order; not kept.
            pts_ns: the frame's time, later than the last frame's.
            embeddings: (M, D) float32, L2-normalised, one a detection; not kept.

        Returns:
            The confirmed tracks that were matched in this frame and pass the screening.

        Raises:
            PacketError: `pts_ns` is not later than the last frame's; no track was touched.
            Exception: what `similarity` raised. The tracks were predicted and nothing else, see
                `predicted`.
        """
        found = Found(detections, embeddings)
        self._predict(pts_ns)
        tracks, partners, free = self._associate(found)
        self._update(tracks, found.take(partners), pts_ns)
        self._miss(tracks, pts_ns)
        self._initiate(found, free, pts_ns)
        return self._visible(pts_ns, self._book["seen_ns"] == pts_ns)

    def coast(self, pts_ns: int) -> Tracks:
        """The tracks in a frame of which nothing is known: not detected, or the engine is blind.

        Tracks are predicted and grow older, but nobody looked, so none misses: no confirmed track
        becomes lost and no tentative one ends, unless its time is over.

        Args:
            pts_ns: the frame's time, later than the last frame's.

        Returns:
            Predictions of the confirmed tracks that were matched when last looked for, with
            ``unseen_s`` > 0.

        Raises:
            PacketError: as `update`.
        """
        self._predict(pts_ns)
        return self.predicted()

    def predicted(self) -> Tracks:
        """What `coast` gives, where `update` has moved the tracks on already, but then failed."""
        return self._visible(self._pts_ns or 0, np.ones(len(self._book), np.bool_))

    def _predict(self, pts_ns: int) -> None:
        """Moves all tracks to `pts_ns` and removes those unseen for too long."""
        if self._pts_ns is None:
            self._pts_ns = pts_ns
        elif pts_ns <= self._pts_ns:
            raise PacketError(
                "time_went_back",
                f"expected pts_ns above the last frame's {self._pts_ns}, got {pts_ns}",
            )
        self._motion.predict((pts_ns - self._pts_ns) / 1e9)
        self._pts_ns = pts_ns
        self._keep(pts_ns - self._book["seen_ns"] <= self._spec.max_lost_s * 1e9)

    def _associate(self, found: Found) -> tuple[Indices, Indices, Mask]:
        """Tracks (K,), their detections (K,), and which detections have none (M,)."""
        boxes_xyxy = self._motion.boxes_xyxy()
        association = Association(
            self._spec, self._book, boxes_xyxy, found.detections, self._similarity
        )
        for name in self._spec.association:
            if name == "high":
                association.high()
            elif name == "low":
                association.low()
            elif found.embeddings is not None:
                association.reid(self._gallery, found.embeddings)
        return *association.matches(), association.free

    def _update(self, tracks: Indices, found: Found, pts_ns: int) -> None:
        """Tracks `tracks` (K,) were matched with `found` (K)."""
        book = self._book
        self._motion.update(tracks, found.detections.boxes_xyxy)
        book.hit(tracks, found.detections, pts_ns)
        if found.embeddings is not None:
            self._gallery.update(tracks, found.embeddings)
        state = book["state"]
        ready = (state != TENTATIVE) | (book["hits"] >= self._spec.min_hits)
        state[tracks[ready.take(tracks)]] = CONFIRMED

    def _miss(self, tracks: Indices, pts_ns: int) -> None:
        """All tracks but `tracks` (K,) were looked for and not found."""
        if len(tracks) == len(self._book):
            return
        missed = np.ones(len(self._book), np.bool_)
        missed[tracks] = False
        state = self._book["state"]
        state[missed & (state == CONFIRMED)] = LOST
        late = pts_ns - self._book["seen_ns"] > self._spec.tentative_lost_s * 1e9
        self._keep(~(missed & late & (state == TENTATIVE)))

    def _initiate(self, found: Found, free: Mask, pts_ns: int) -> None:
        """Starts a track from every free detection (mask (M,)) that is good enough."""
        good = free & (found.detections.scores >= self._spec.new_score)
        at_once = self._first or self._spec.min_hits == 1
        self._first = False
        new = int(np.count_nonzero(good))
        if not new:
            return
        found = found.take(good)
        state = CONFIRMED if at_once else TENTATIVE
        rows = self._book.append(np.arange(self._next_id, self._next_id + new), state, pts_ns)
        self._next_id += new
        self._motion.initiate(found.detections.boxes_xyxy)
        self._gallery.append(new)
        self._book.hit(rows, found.detections, pts_ns)
        if found.embeddings is not None:
            self._gallery.update(rows, found.embeddings)

    def _keep(self, mask: Mask) -> None:
        """Removes the tracks where the mask (N,) is False."""
        if not mask.all():
            self._book.keep(mask)
            self._motion.keep(mask)
            self._gallery.keep(mask)

    def _visible(self, pts_ns: int, mask: Mask) -> Tracks:
        """Confirmed tracks in the mask (N,) that pass the screening, as they go out."""
        mask = mask & (self._book["state"] == CONFIRMED) & screened(self._book, self._spec)
        rows = mask.nonzero()[0]
        records = self._book.records.take(rows)
        return Tracks(
            ids=records["id"].copy(),
            boxes_xyxy=self._boxes_xyxy(rows, pts_ns).astype(np.float32),
            scores=records["score"].copy(),
            labels=records["label"].copy(),
            states=records["state"].copy(),
            velocities=self._motion.velocities().take(rows, 0).astype(np.float32),
            ages_s=((pts_ns - records["born_ns"]) * 1e-9).astype(np.float32),
            unseen_s=((pts_ns - records["seen_ns"]) * 1e-9).astype(np.float32),
        )

    def _boxes_xyxy(self, rows: Indices, pts_ns: int) -> Floats:
        """The boxes of the tracks `rows` (K,) as they go out, (K, 4).

        The filter takes the jitter out of a detector's boxes, but lags behind one that changes its
        shape, such as that of somebody who steps behind a car. Where the object was just detected,
        the truth lies between the two.
        """
        boxes = self._motion.boxes_xyxy().take(rows, 0)
        seen = self._book["seen_ns"].take(rows) == pts_ns
        measured = self._book["box_xyxy"].take(rows, 0)
        boxes += (self._spec.measured_share * seen)[:, None] * (measured - boxes)
        return boxes


def _motion(name: Literal["kalman", "filterpy"]) -> Motion:
    """The motion filter of that name."""
    if name == "filterpy":
        # Not at the top: it takes longer to import than the whole of this program.
        from pipeline.tracking.filterpy_motion import FilterpyMotion

        return FilterpyMotion()
    return Kalman()
