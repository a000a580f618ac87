"""The tracked objects of one frame, as columns, and the states of a track's life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class TrackState(IntEnum):
    """A track's life: tentative until it was hit often enough, lost while nothing matches it.

    A removed track is gone; for some time it may be remembered by its looks.
    """

    TENTATIVE = 0
    CONFIRMED = 1
    LOST = 2
    REMOVED = 3


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """What second networks call N objects, such as their colours.

    Attributes:
        values: (N,) str; empty where nothing is known.
        shares: (N,) float32, of the votes, 0..1; 0 where nothing is known.
    """

    values: NDArray[np.str_]
    shares: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """N tracked objects of one frame of one camera, sorted by id.

    Attributes:
        ids: (N,) int64, positive, never reused for another object of this camera in a session.
        boxes_xyxy: (N, 4) float32, source pixels.
        scores: (N,) float32, of the last detection matched.
        labels: (N,) int32, class by vote over the track's life.
        states: (N,) uint8, `TrackState`.
        velocities: (N, 2) float32, of the box centre, pixels per second.
        ages_s: (N,) float32, seconds since the track's first detection.
        unseen_s: (N,) float32, seconds since its last detection; 0 where matched in this frame.
        detections: (N,) int32, row of the frame's detection that each track was matched with, -1
            where it is predicted; None where that is not known, as of tracks read from a message.
        attributes: by name, of the N objects.
    """

    ids: NDArray[np.int64]
    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int32]
    states: NDArray[np.uint8]
    velocities: NDArray[np.float32]
    ages_s: NDArray[np.float32]
    unseen_s: NDArray[np.float32]
    detections: NDArray[np.int32] | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @staticmethod
    def empty() -> Tracks:
        """No objects."""
        return Tracks(
            np.empty(0, np.int64),
            np.empty((0, 4), np.float32),
            np.empty(0, np.float32),
            np.empty(0, np.int32),
            np.empty(0, np.uint8),
            np.empty((0, 2), np.float32),
            np.empty(0, np.float32),
            np.empty(0, np.float32),
            np.empty(0, np.int32),
        )
