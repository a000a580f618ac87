"""Which tracks a tracker gives out after a frame, and how they look."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.book import CONFIRMED
from pipeline.tracking.extrapolation import extrapolated
from pipeline.tracking.known import Known, Mask
from pipeline.tracking.motion import Floats
from pipeline.tracking.screening import ScreeningSpec, screened
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.track import Tracks


class Outgoing:
    """Chooses tracks and puts them into the form in which they are given out.

    Args:
        spec: the configuration's `track` section.
    """

    def __init__(self, spec: TrackSpec) -> None:
        self._spec = spec
        across, down = spec.measured_share, spec.measured_share_down
        #: Of x1, y1, x2, y2.
        self._measured_share = np.array((across, down, across, down))
        self._screens = spec.screening != ScreeningSpec()

    def updated(self, known: Known, pts_ns: int, sources: NDArray[np.int32]) -> Tracks:
        """After an update: confirmed tracks that were seen, and lost ones that surely are there.

        Args:
            known: the N tracks.
            pts_ns: time of the frame.
            sources: (N,) the detection each has in this frame, -1 where it has none.
        """
        book, boxes_xyxy = known.book, known.motion.boxes_xyxy()
        mask: Mask = (book["seen_ns"] == pts_ns) & (book["state"] == CONFIRMED)
        if self._spec.extrapolate_s:
            mask[extrapolated(book, self._spec, boxes_xyxy, known.region, pts_ns)] = True
        return self._given_out(known, boxes_xyxy, pts_ns, mask, sources)

    def predicted(self, known: Known, pts_ns: int) -> Tracks:
        """Where nothing is known of the frame: the confirmed tracks, where they should be."""
        boxes_xyxy = known.motion.boxes_xyxy()
        confirmed = known.book["state"] == CONFIRMED
        nobody = np.full(len(boxes_xyxy), -1, np.int32)
        return self._given_out(known, boxes_xyxy, pts_ns, confirmed, nobody)

    def _given_out(
        self,
        known: Known,
        boxes_xyxy: Floats,
        pts_ns: int,
        mask: Mask,
        sources: NDArray[np.int32],
    ) -> Tracks:
        """Tracks in the mask (N,), now at these boxes (N, 4), that pass the screening."""
        book = known.book
        if self._screens:
            mask = mask & screened(book, self._spec.screening, pts_ns)
        rows = mask.nonzero()[0]
        records = book.records.take(rows)
        unseen_ns = pts_ns - records["seen_ns"]
        return Tracks(
            ids=records["id"].copy(),
            boxes_xyxy=self._smoothed(
                boxes_xyxy.take(rows, 0), records["box_xyxy"], unseen_ns == 0
            ),
            scores=records["score"].copy(),
            labels=records["label"].copy(),
            states=records["state"].copy(),
            velocities=known.motion.velocities().take(rows, 0).astype(np.float32),
            ages_s=((pts_ns - records["born_ns"]) * 1e-9).astype(np.float32),
            unseen_s=(unseen_ns * 1e-9).astype(np.float32),
            detections=sources.take(rows),
        )

    def _smoothed(
        self, boxes: Floats, measured: NDArray[np.float32], seen: Mask
    ) -> NDArray[np.float32]:
        """The boxes (K, 4) of tracks as they go out, (K, 4).

        The filter takes the jitter out of a detector's boxes, but lags behind one that changes its
        shape, such as that of somebody who steps behind a car. Where the object was just detected,
        the truth lies between the two.

        Args:
            boxes: of the filter; changed.
            measured: (K, 4) the last detections' boxes.
            seen: (K,) which of these are of this frame.
        """
        boxes += seen[:, None] * (self._measured_share * (measured - boxes))
        return boxes.astype(np.float32)
