"""What is known about each track besides its motion, as one structured array.

One record a track, in the order of birth, so that records are always sorted by id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.detections import Detections
from pipeline.tracking.cost import Indices
from pipeline.tracking.track import TrackState

# Plain integers: numpy compares an enum's member an order of magnitude slower.
TENTATIVE, CONFIRMED, LOST, REMOVED = map(int, TrackState)

#: No detection is surer than this, whatever its score.
_LEAST_DOUBT = 1e-3

# Aligned: numpy reads and writes columns of packed records two to three times slower.
RECORD = np.dtype(
    [
        ("id", np.int64),
        ("state", np.uint8),  # TrackState
        ("label", np.int32),  # winner of the class vote
        ("hits", np.int64),  # detections matched
        ("born_ns", np.int64),  # pts of the first detection
        ("seen_ns", np.int64),  # pts of the last detection
        ("score", np.float32),  # of the last detection
        ("box_xyxy", np.float32, (4,)),  # of the last detection
        ("area_sum", np.float64),  # over all detections matched, pixels²
        ("evidence", np.float64),  # of all detections matched, nats
        ("entered", np.bool_),  # was where the zones allow it, see `screening`
    ],
    align=True,
)


class Book:
    """The records of N tracks and their class votes.

    Records are copied by `take` and `put`: numpy's [] does it field by field, which takes ten times
    as long.

    Attributes:
        records: (N,) of `RECORD`.
        votes: (N, C) sum of scores of each class's detections; C grows with the labels met.
    """

    def __init__(self) -> None:
        self.records: NDArray[np.void] = np.empty(0, RECORD)
        self.votes = np.empty((0, 1), np.float64)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, field: str) -> NDArray[Any]:
        """A column of the records, to read and to write."""
        return self.records[field]

    def append(self, ids: NDArray[np.int64], state: int, pts_ns: int) -> Indices:
        """Opens a record for each id, in rising order; returns their rows."""
        old, new = len(self.records), len(ids)
        records, rows = np.zeros(old + new, RECORD), np.arange(old + new)
        records.put(rows[:old], self.records)
        born = records[old:]
        born["id"], born["state"], born["born_ns"] = ids, state, pts_ns
        self.records = records
        self.votes = np.concatenate((self.votes, np.zeros((new, self.votes.shape[1]))))
        return rows[old:]

    def hit(self, rows: Indices, detections: Detections, pts_ns: int) -> None:
        """The tracks `rows` (M,), each at most once, were matched with these M detections."""
        records, boxes = self.records.take(rows), detections.boxes_xyxy
        records["hits"] += 1
        records["seen_ns"] = pts_ns
        records["score"] = detections.scores
        records["box_xyxy"] = boxes
        records["area_sum"] += (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        records["evidence"] -= np.log(np.maximum(1.0 - detections.scores, _LEAST_DOUBT))
        records["label"] = self._vote(rows, detections.labels, detections.scores)
        self.records.put(rows, records)

    def _vote(
        self, rows: Indices, labels: NDArray[np.int32], scores: NDArray[np.float32]
    ) -> NDArray[np.intp]:
        """Counts a vote for each of `rows` (M,); returns the winners (M,)."""
        missing = int(np.maximum.reduce(labels, initial=0)) + 1 - self.votes.shape[1]
        if missing > 0:
            self.votes = np.pad(self.votes, ((0, 0), (0, missing)))
        self.votes[rows, labels] += scores
        winners: NDArray[np.intp] = self.votes.take(rows, 0).argmax(axis=1)
        return winners

    def warp(self, matrix: NDArray[np.float64]) -> None:
        """Moves the last detections' boxes by an affine map (2, 3), as `Motion.warp` does."""
        boxes, turn = self.records["box_xyxy"].astype(np.float64), matrix[:, :2]
        centre = np.einsum("nj,ij->ni", 0.5 * (boxes[:, :2] + boxes[:, 2:]), turn) + matrix[:, 2]
        half = 0.5 * np.sqrt(abs(np.linalg.det(turn))) * (boxes[:, 2:] - boxes[:, :2])
        self.records["box_xyxy"] = np.concatenate((centre - half, centre + half), axis=1)

    def shifted(self, offset: NDArray[np.float64]) -> Book:
        """A copy moved by (2,) pixels along x and y, as `warp` would."""
        boxes = self.records["box_xyxy"].astype(np.float64)
        centre = 0.5 * (boxes[:, :2] + boxes[:, 2:]) + offset
        half = 0.5 * (boxes[:, 2:] - boxes[:, :2])
        moved = Book()
        moved.records, moved.votes = self.records.copy(), self.votes
        moved.records["box_xyxy"] = np.concatenate((centre - half, centre + half), axis=1)
        return moved

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Closes the records where `mask` (N,) is False."""
        rows = mask.nonzero()[0]
        self.records = self.records.take(rows)
        self.votes = self.votes.take(rows, 0)

    def saved(self) -> dict[str, NDArray[Any]]:
        """What `restore` takes."""
        return {"records": self.records.copy(), "votes": self.votes.copy()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Goes on from what was `saved`."""
        self.records, self.votes = arrays["records"].copy(), arrays["votes"].copy()
