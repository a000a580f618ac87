"""The tracker of one camera: predict, match, apply.

SORT's loop (Bewley et al., ICIP 2016) in three steps: tracks are predicted, matched with what was
detected, and brought up to date by it. What the rounds of the association compare, and in which
order, is the configuration's choice (`TrackSpec`), and the trackers of the literature are such
choices (`presets`).

A track's life. An unmatched detection of at least `new_score` starts a *tentative* track. When
enough is known of it, it is *confirmed* and given out; a miss before that removes it (later than
`tentative_lost_s`). In the first frame of a session there is nothing to be confused with, so tracks
that start there are confirmed at once. A confirmed track that is not matched in a frame is *lost*:
it is predicted on, given out for a moment (`extrapolation`), and becomes confirmed again when
matched, else it is *removed* when its time is over (`lifecycle`). Its looks may be remembered, and
bring it back.

Time is the presentation time of the frames: nothing counts frames but `min_hits`, which counts
detections. A frame that is missing only makes the next step longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.detections import Detections
from pipeline.errors import PacketError
from pipeline.tracking import lifecycle
from pipeline.tracking.association import Association
from pipeline.tracking.book import CONFIRMED, LOST, REMOVED, TENTATIVE, Book
from pipeline.tracking.camera_motion import CameraMotion
from pipeline.tracking.common_motion import CommonMotion
from pipeline.tracking.cost import Indices, Similarity
from pipeline.tracking.extrapolation import Region
from pipeline.tracking.forms import FORMS
from pipeline.tracking.gallery import Embeddings, Gallery
from pipeline.tracking.kalman import Kalman
from pipeline.tracking.known import Found, Known, Mask
from pipeline.tracking.momentum import Path
from pipeline.tracking.motion import Floats, Motion
from pipeline.tracking.outgoing import Outgoing
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.steps import Match, Step
from pipeline.tracking.track import Tracks

_STILL = np.zeros(2)


class Tracker:
    """The tracks of one camera in one session. Ids count up from 1 and are never used again.

    Args:
        spec: the configuration's `track` section.
        similarity: what compares boxes and embeddings; plain numpy by default.
        motion: the motion filter, without tracks; by default as `spec` says.

    Attributes:
        next_id: of the next new track; may be raised.
    """

    def __init__(
        self,
        spec: TrackSpec | None = None,
        similarity: Similarity | None = None,
        motion: Motion | None = None,
    ) -> None:
        self._spec = spec = spec or TrackSpec()
        self._similarity = similarity or Similarity()
        self._rounds = [spec.rounds[name] for name in spec.association]
        self._known = Known(
            book=Book(),
            motion=_motion(spec) if motion is None else motion,
            gallery=Gallery(spec.gallery_momentum, spec.gallery, self._similarity),
            path=Path() if any(round_.momentum for round_ in self._rounds) else None,
            common=CommonMotion(),
            region=Region(),
            reupdates=spec.reupdate,
        )
        self._outgoing = Outgoing(spec)
        self._remembers = any("removed" in round_.tracks for round_ in self._rounds)
        self._pts_ns: int | None = None
        self.next_id = 1
        self._first = True

    def __len__(self) -> int:
        """Number of tracks, with those that are not given out."""
        return len(self._known.book)

    def update(
        self,
        detections: Detections,
        pts_ns: int,
        embeddings: Embeddings | None = None,
        camera_motion: CameraMotion | None = None,
    ) -> Tracks:
        """The tracks after a frame in which these objects were detected.

        Args:
            detections: M of this frame, in source pixels, in any order; not kept.
            pts_ns: the frame's time, later than the last frame's.
            embeddings: (M, D) float32, L2-normalised, one a detection; a zero vector where nobody
                looked; not kept.
            camera_motion: how the camera moved since the last frame, if that is known.

        Returns:
            The confirmed tracks that were matched in this frame, and lost ones that surely are
            still there (`extrapolation`), with ``unseen_s`` > 0; all that pass the screening.

        Raises:
            PacketError: `pts_ns` is not later than the last frame's; no track was touched.
            Exception: what `similarity` raised. The tracks were predicted and nothing else, see
                `predicted`.
        """
        step, found = self.predict(pts_ns, camera_motion), Found(detections, embeddings)
        return self.apply(found, self.match(step, found))

    def coast(self, pts_ns: int, camera_motion: CameraMotion | None = None) -> Tracks:
        """The tracks in a frame of which nothing is known: not detected, or the engine is blind.

        Tracks are predicted and grow older, but nobody looked, so none misses: no confirmed track
        becomes lost and no tentative one ends, unless its time is over.

        Args:
            pts_ns: the frame's time, later than the last frame's.
            camera_motion: as for `update`.

        Returns:
            Predictions of the confirmed tracks that were matched when last looked for, with
            ``unseen_s`` > 0.

        Raises:
            PacketError: as `update`.
        """
        self.predict(pts_ns, camera_motion)
        return self.predicted()

    def predict(self, pts_ns: int, camera_motion: CameraMotion | None = None) -> Step:
        """First step of `update`: moves all tracks to `pts_ns`; those unseen for too long go.

        Raises:
            PacketError: as `update`.
        """
        known, before_ns = self._known, self._pts_ns
        if before_ns is None:
            before_ns = pts_ns
        elif pts_ns <= before_ns:
            raise PacketError(
                "time_went_back",
                f"expected pts_ns above the last frame's {before_ns}, got {pts_ns}",
            )
        step = Step(
            dt=(pts_ns - before_ns) / 1e9,
            camera_is_known=camera_motion is not None and camera_motion.since_ns == before_ns,
        )
        known.motion.predict(step.dt)
        if camera_motion is not None and step.camera_is_known:
            known.warp(camera_motion.matrix)
        self._pts_ns = pts_ns
        book, limit_ns = known.book, lifecycle.longest_unseen_s(self._spec) * 1e9
        late = pts_ns - book["seen_ns"] > limit_ns
        if np.count_nonzero(late):
            self._remove((late & (book["state"] != REMOVED)).nonzero()[0])
        return step

    def match(self, step: Step, found: Found) -> Match:
        """Second step: which of the predicted tracks has which detection. Changes nothing.

        Args:
            step: as `predict` gave it.
            found: the frame's detections.

        Raises:
            Exception: what `similarity` raised.
        """
        known, nearness = self._known, 1.0
        if self._spec.far_s:
            nearness = min(1.0, self._spec.far_s / max(step.dt, 1e-9))
        association = Association(self._spec, known, found, self._similarity, nearness)
        shift, evidence = _STILL, known.common.evidence
        if self._spec.common_motion and nearness == 1 and not step.camera_is_known:
            shift, evidence = self._common_motion(association, found, step.dt)
            if np.count_nonzero(shift):
                known = known.shifted(shift)
                association = Association(self._spec, known, found, self._similarity, nearness)
        for round_ in self._rounds:
            association.run(round_)
        tracks, detections = association.matches()
        doubt = self._doubt(association, detections)
        return Match(tracks, detections, doubt, shift, evidence)

    def apply(self, found: Found, match: Match) -> Tracks:
        """Third step: what was detected corrects the tracks, ends some and starts others.

        Args:
            found: as for `match`.
            match: what that gave.

        Returns:
            As `update`.
        """
        if np.count_nonzero(match.shift):
            self._known = self._known.shifted(match.shift)
        known, pts_ns = self._known, self._pts_ns or 0
        known.common.evidence = match.evidence
        rows, count = match.tracks, len(known.book)
        ids = known.book["id"].take(rows)
        missed, free = np.ones(count, np.bool_), np.ones(len(found.detections), np.bool_)
        missed[rows] = free[match.detections] = False
        self._update(rows, found.take(match.detections), match.doubt, pts_ns)
        self._miss(missed.nonzero()[0], pts_ns)
        if len(known.book) < count:
            rows = known.book["id"].searchsorted(ids)
        born = self._initiate(found, free, pts_ns)
        if self._spec.extrapolate_s:
            known.region.widen(found.detections.boxes_xyxy)
        return self._outgoing.updated(known, pts_ns, self._sources(rows, match.detections, born))

    def predicted(self) -> Tracks:
        """In place of `apply` where nothing is known of the frame: what `coast` gives."""
        return self._outgoing.predicted(self._known, self._pts_ns or 0)

    def saved(self) -> dict[str, NDArray[Any]]:
        """The whole state as plain arrays, for `restore`; they are not changed later on.

        Between the steps as well; `Step` and `Match` are not in it.
        """
        arrays = self._known.saved()
        times = () if self._pts_ns is None else (self._pts_ns,)
        return arrays | {"tracker": np.array((self.next_id, self._first, *times), np.int64)}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Goes on from what a tracker of the same configuration had `saved`, to the last bit."""
        self._known.restore(arrays)
        self.next_id, first, *times = arrays["tracker"].tolist()
        self._pts_ns, self._first = times[0] if times else None, bool(first)

    def resume(self, pts_ns: int, away_s: float) -> None:
        """After `restore`, goes on along another time line, whose next frame is at `pts_ns`.

        Nobody looked for the tracks meanwhile. They move on for `max_lost_s` at most, as no lost
        track does for longer, and all have half of that to be found again. Ages count all the time.

        Args:
            pts_ns: of the next frame.
            away_s: from the last frame before `saved` to the next one, ≥ 0.
        """
        if self._pts_ns is None:
            return
        most_ns = round(self._spec.max_lost_s * 1e9)
        away_ns = max(round(away_s * 1e9), 1)
        moved_ns = max(min(away_ns, most_ns), 1)
        records = self._known.book.records
        records["born_ns"] += pts_ns - away_ns - self._pts_ns
        seen_ns = records["seen_ns"] + (pts_ns - moved_ns - self._pts_ns)
        records["seen_ns"] = np.maximum(seen_ns, pts_ns - most_ns // 2)
        self._pts_ns = pts_ns - moved_ns

    def _common_motion(
        self, association: Association, found: Found, dt: float
    ) -> tuple[Floats, Floats]:
        """What the sure matches have in common, as `CommonMotion.shift` gives it."""
        tracks, detections = association.sure()
        predicted = association.predicted_xyxy.take(tracks, 0)
        detected = found.detections.boxes_xyxy.take(detections, 0)
        return self._known.common.shift(predicted, detected, dt)

    def _doubt(self, association: Association, detections: Indices) -> Floats:
        """What the variance of these detections' boxes (K,) is multiplied by.

        Where two objects overlap, a detector's box often has parts of both.
        """
        if not self._spec.rivalry:
            return np.ones(len(detections))
        return 1 + self._spec.rivalry * association.rivalry().take(detections)

    def _update(self, tracks: Indices, found: Found, doubt: Floats, pts_ns: int) -> None:
        """Tracks `tracks` (K,) were matched with `found` (K), of whose boxes there is `doubt`."""
        self._known.hit(tracks, found, doubt, pts_ns)
        self._confirm(tracks)

    def _confirm(self, tracks: Indices) -> None:
        """Confirms those of `tracks` (K,), all just detected, of which enough is known."""
        state, records = self._known.book["state"], self._known.book.records
        settled = state.take(tracks) != TENTATIVE
        state[tracks[settled]] = CONFIRMED
        young = tracks[~settled]
        if len(young):
            state[young[lifecycle.confirmed(records.take(young), self._spec)]] = CONFIRMED

    def _miss(self, tracks: Indices, pts_ns: int) -> None:
        """The tracks `tracks` (K,) were looked for and not found."""
        if not len(tracks):
            return
        book = self._known.book
        records = book.records.take(tracks)
        book["state"][tracks[records["state"] == CONFIRMED]] = LOST
        looks_known = self._known.gallery.known.take(tracks)
        patience_ns = lifecycle.patience_ns(records, looks_known, self._spec)
        self._remove(tracks[pts_ns - records["seen_ns"] > patience_ns])

    def _initiate(self, found: Found, free: Mask, pts_ns: int) -> Indices:
        """Starts a track from every free detection (mask (M,)) that is good enough: those (K,)."""
        good = free & (found.detections.scores >= self._spec.new_score)
        at_once = self._first or self._spec.min_hits == 1
        self._first = False
        new: Indices = good.nonzero()[0]
        if not len(new):
            return new
        ids = np.arange(self.next_id, self.next_id + len(new))
        self.next_id += len(new)
        state = CONFIRMED if at_once else TENTATIVE
        self._confirm(self._known.append(ids, state, found.take(new), pts_ns))
        return new

    def _remove(self, late: Indices) -> None:
        """Removes the tracks `late` (K,); some of them may be remembered."""
        if not len(late):
            return
        book, looked_at = self._known.book, self._known.gallery.known.take(late)
        if self._remembers and looked_at.any():
            remembered = looked_at & lifecycle.memorable(book.records.take(late))
            book["state"][late[remembered]] = REMOVED
            late = late[~remembered]
        kept = np.ones(len(book), np.bool_)
        kept[late] = False
        self._known.keep(kept)

    def _sources(self, tracks: Indices, partners: Indices, born: Indices) -> NDArray[np.int32]:
        """Of each track (N,) the detection it has in this frame, -1 where it has none.

        Args:
            tracks: (K,) that were matched.
            partners: (K,) their detections.
            born: the detections of the tracks that are new, which are the last ones.
        """
        count = len(self._known.book)
        sources = np.full(count, -1, np.int32)
        sources[tracks] = partners
        sources[count - len(born) :] = born
        return sources


def _motion(spec: TrackSpec) -> Motion:
    """The motion filter as configured."""
    form = FORMS[spec.motion_model]
    if spec.motion == "filterpy":
        # Not at the top: it takes longer to import than the whole of this program.
        from pipeline.tracking.filterpy_motion import FilterpyMotion

        return FilterpyMotion(form)
    return Kalman(form)
