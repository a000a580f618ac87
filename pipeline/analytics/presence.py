"""Who is in a polygon, and since when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.analytics.border import Border
from pipeline.analytics.crossings import Crossing, Crossings
from pipeline.analytics.paths import Steps
from pipeline.analytics.roll import Roll
from pipeline.tracking.motion import Floats
from pipeline.tracking.zones import Anchor, anchors, in_polygon


@dataclass(frozen=True, slots=True)
class Change:
    """A track that came into a polygon or left it.

    Attributes:
        track: its id.
        label: its class.
        inside: whether it is in it from now on.
        pts_ns: when; of a track that was given up inside, when it was.
        at: where, (2,) pixels; of such a track, where it was detected last.
        stayed_ns: how long it was known to be in it, of one that left.
        told: whether `Presence.overdue` told of that stay.
    """

    track: int
    label: int
    inside: bool
    pts_ns: int
    at: Floats
    stayed_ns: int = 0
    told: bool = False


class Presence:
    """Who is in a polygon.

    Args:
        polygon: (P, 2) corners, pixels.
        anchor: the point of a box that has to be inside.
        margin: how far a track has to get from the border before it is on the other side of it, in
            heights of its box.
    """

    def __init__(self, polygon: NDArray[np.float64], anchor: Anchor, margin: float) -> None:
        self._polygon = polygon
        self._anchor = anchor
        self._crossings = Crossings(Border(polygon, closed=True), margin)
        self._roll = Roll([("inside", np.bool_), ("told", np.bool_), ("since_ns", np.int64)])

    @property
    def count(self) -> int:
        """How many are inside."""
        return int(np.count_nonzero(self._roll.records["inside"]))

    def step(self, steps: Steps) -> list[Change]:
        """Who came and who left in this frame; of each track in order of time."""
        a, b = anchors(steps.from_xyxy, self._anchor), anchors(steps.to_xyxy, self._anchor)
        changes = [*self._given_up(steps), *self._begun(steps, b)]
        crossings = list(self._crossings.step(steps, a, b))
        beyond = np.array([crossing.beyond for crossing in crossings]).reshape(-1, 2)
        for crossing, inside in zip(crossings, in_polygon(beyond, self._polygon), strict=True):
            record = self._roll.records[self._row(int(steps.ids[crossing.row]))]
            if inside != record["inside"]:
                changes.append(_change(record, int(steps.labels[crossing.row]), crossing))
                record["inside"], record["told"] = inside, False
                record["since_ns"] = crossing.pts_ns
        return changes

    def overdue(self, steps: Steps, after_ns: int) -> list[tuple[int, int]]:
        """Who is detected now and inside for so long, each once a stay.

        Returns:
            For each its row of the steps, and when its time was over.
        """
        rows, _ = self._roll.rows(steps.ids)
        records = self._roll.records[rows]
        late = records["inside"] & ~records["told"]
        late &= steps.pts_ns - records["since_ns"] >= after_ns
        self._roll.records["told"][rows[late]] = True
        found = late.nonzero()[0]
        return [(int(row), int(records["since_ns"][row]) + after_ns) for row in found]

    def _given_up(self, steps: Steps) -> Iterator[Change]:
        """Those that were inside and whose paths ended."""
        ended = steps.ended
        places = anchors(ended.boxes_xyxy, self._anchor)
        for record in self._roll.drop(ended.ids):
            if record["inside"]:
                row = int(ended.ids.searchsorted(record["id"]))
                stayed_ns = int(ended.seen_ns[row] - record["since_ns"])
                track, label = int(record["id"]), int(ended.labels[row])
                moment, told = int(ended.pts_ns[row]), bool(record["told"])
                yield Change(track, label, False, moment, places[row], stayed_ns, told)

    def _begun(self, steps: Steps, places: Floats) -> Iterator[Change]:
        """Those that are new, and inside from the start."""
        rows, new = self._roll.rows(steps.ids)
        fresh = new.nonzero()[0]
        inside = in_polygon(places[fresh], self._polygon)
        self._roll.records["inside"][rows[fresh]] = inside
        self._roll.records["since_ns"][rows[fresh]] = steps.pts_ns
        for row in fresh[inside].tolist():
            track, label = int(steps.ids[row]), int(steps.labels[row])
            yield Change(track, label, True, steps.pts_ns, places[row])

    def _row(self, track: int) -> int:
        return int(self._roll.records["id"].searchsorted(track))


def _change(record: np.void, label: int, crossing: Crossing) -> Change:
    """What a track with this record does by going to the other side."""
    track, pts_ns, left = int(record["id"]), crossing.pts_ns, bool(record["inside"])
    stayed_ns = pts_ns - int(record["since_ns"]) if left else 0
    return Change(track, label, not left, pts_ns, crossing.at, stayed_ns, bool(record["told"]))
