"""What a track's object is called after many looks at it: a vote, for each attribute.

One look may be at a bad moment: half hidden, blurred, in a shadow. Each look has one vote, which
its probabilities share out among the values, and the value with the most is the track's. Texts are
voted for as wholes: signs cannot be counted by their place, for a network that misses one moves all
behind it; and the looks that read a text right agree on all of it, while each of the others errs in
its own way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.recognition.looks import Looks
from pipeline.tracking.cost import Indices
from pipeline.tracking.track import Attribute, Tracks

#: Two looks at a track are at least so long apart, seconds: the next frame shows the same moment.
APART_S = 0.2
#: A vote of fewer looks is never sure.
FEWEST_LOOKS = 3
#: After so many looks more will not make it sure.
MOST_LOOKS = 12
#: Tracks that were not given out for so long are forgotten, seconds.
FORGET_S = 120.0

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]

_RECORD = np.dtype(
    [
        ("id", np.int64),
        ("looks", np.int64),
        ("looked_ns", np.int64),  # pts of the last look
        ("given_ns", np.int64),  # pts of the last frame in which the track was given out
    ],
    align=True,
)


class Votes:
    """The votes on one attribute of one camera's tracks."""

    def __init__(self) -> None:
        #: (T,) of `_RECORD`, by rising id.
        self._records = np.empty(0, _RECORD)
        #: (V,) what was voted for so far, sorted.
        self._values: NDArray[np.str_] = np.empty(0, np.str_)
        #: (T, V) votes.
        self._weights = np.empty((0, 0))

    def cast(self, ids: Ids, looks: Looks, pts_ns: int) -> None:
        """Counts looks at tracks.

        Args:
            ids: (M,) of the tracks, each at most once.
            looks: M, some of which may not have taken place.
            pts_ns: the frame's time.
        """
        (looked,) = looks.looked.nonzero()
        if not len(looked):
            return
        self._make_room(ids[looked], looks.values)
        rows = np.searchsorted(self._records["id"], ids[looked])
        columns = np.searchsorted(self._values, looks.values)
        self._weights[np.ix_(rows, columns)] += looks.weights[looked]
        self._records["looks"][rows] += 1
        for time in ("looked_ns", "given_ns"):
            self._records[time][rows] = pts_ns

    def _make_room(self, ids: Ids, values: NDArray[np.str_]) -> None:
        """Adds the tracks and values that are not there yet."""
        all_ids = np.union1d(self._records["id"], ids)
        all_values = np.union1d(self._values, values)
        if len(all_ids) == len(self._records) and len(all_values) == len(self._values):
            return
        rows = np.searchsorted(all_ids, self._records["id"])
        columns = np.searchsorted(all_values, self._values)
        records, weights = (
            np.zeros(len(all_ids), _RECORD),
            np.zeros((len(all_ids), len(all_values))),
        )
        records["id"] = all_ids
        records[rows], weights[np.ix_(rows, columns)] = self._records, self._weights
        self._records, self._values, self._weights = records, all_values, weights

    def result(self, ids: Ids) -> Attribute:
        """What is known of the tracks `ids` (N,)."""
        values, shares = np.zeros(len(ids), self._values.dtype), np.zeros(len(ids), np.float32)
        known, rows = self._rows(ids)
        if len(rows) and len(self._values):
            weights = self._weights[rows]
            best = weights.argmax(axis=1)
            most = weights[np.arange(len(rows)), best]
            values[known] = np.where(most > 0, self._values[best], "")
            shares[known] = most / self._records["looks"][rows]
        return Attribute(values, shares)

    def due(self, ids: Ids, pts_ns: int, sure: float, refresh_s: float) -> Mask:
        """Which of the tracks `ids` (N,) are worth another look: mask (N,).

        Args:
            ids: of the tracks.
            pts_ns: the frame's time.
            sure: share of the votes from which on a value stands, 0..1.
            refresh_s: a value that stands is looked at again after so long, seconds.
        """
        due = np.ones(len(ids), np.bool_)
        known, rows = self._rows(ids)
        records, share = self._records[rows], self.result(ids).shares[known]
        stands = (records["looks"] >= FEWEST_LOOKS) & (share >= sure)
        stands |= records["looks"] >= MOST_LOOKS
        wait_s = np.where(stands, max(refresh_s, APART_S), APART_S)
        due[known] = pts_ns - records["looked_ns"] >= wait_s * 1e9
        return due

    def keep(self, ids: Ids, pts_ns: int) -> None:
        """Notes that the tracks `ids` (N,) are given out now; forgets those long gone."""
        _, rows = self._rows(ids)
        self._records["given_ns"][rows] = pts_ns
        kept = pts_ns - self._records["given_ns"] <= FORGET_S * 1e9
        if kept.all():
            return
        self._records, self._weights = self._records[kept], self._weights[kept]
        voted = self._weights.any(axis=0)
        self._values, self._weights = self._values[voted], self._weights[:, voted]

    def _rows(self, ids: Ids) -> tuple[Mask, Indices]:
        """Which of the tracks `ids` are known, mask (N,), and the rows of those, (K,)."""
        own = self._records["id"]
        rows = np.searchsorted(own, ids)
        known = np.zeros(len(ids), np.bool_)
        (inside,) = (rows < len(own)).nonzero()
        known[inside] = own[rows[inside]] == ids[inside]
        return known, rows[known]


class Polls:
    """The votes on every attribute of one camera's tracks."""

    def __init__(self) -> None:
        self._votes: dict[str, Votes] = {}

    def cast(self, ids: Ids, looks: Mapping[str, Looks], pts_ns: int) -> None:
        """Counts looks, by attribute, at the tracks `ids`; see `Votes.cast`."""
        for name, looked in looks.items():
            self._votes.setdefault(name, Votes()).cast(ids, looked, pts_ns)

    def inherited(self, tracks: Tracks, looks: Mapping[str, Looks], pts_ns: int) -> Tracks:
        """As `known`, after looks at the frame's detections are counted for their tracks."""
        if looks and tracks.detections is not None:
            (own,) = (tracks.detections >= 0).nonzero()
            rows = tracks.detections[own].astype(np.intp)
            seen = {name: of_all.take(rows) for name, of_all in looks.items()}
            self.cast(tracks.ids[own], seen, pts_ns)
        return self.known(tracks, pts_ns)

    def known(self, tracks: Tracks, pts_ns: int) -> Tracks:
        """The tracks, given out now, with all that was said of them."""
        if not self._votes:
            return tracks
        attributes = dict(tracks.attributes)
        for name, votes in self._votes.items():
            votes.keep(tracks.ids, pts_ns)
            attributes[name] = votes.result(tracks.ids)
        return replace(tracks, attributes=attributes)

    def due(self, ids: Ids, pts_ns: int, sure: float, refresh_s: float) -> Mask:
        """Which of the tracks `ids` (N,) any attribute is worth another look of: mask (N,)."""
        due = np.ones(len(ids), np.bool_) if not self._votes else np.zeros(len(ids), np.bool_)
        for votes in self._votes.values():
            due |= votes.due(ids, pts_ns, sure, refresh_s)
        return due
