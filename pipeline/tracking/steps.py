"""What passes between the tracker's three steps, predict → match → apply: plain data."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.tracking.cost import Indices
from pipeline.tracking.motion import Floats


@dataclass(frozen=True, slots=True)
class Step:
    """The way from the last frame to this one, along which `predict` moved the tracks.

    Attributes:
        dt: seconds; 0 at the first frame.
        camera_is_known: whether somebody has said how the camera moved meanwhile.
    """

    dt: float
    camera_is_known: bool


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """Which of N predicted tracks has which of M detections, K pairs in all.

    Attributes:
        tracks: (K,) rows of the tracks, rising.
        detections: (K,) rows of their detections, each at most once.
        doubt: (K,) what the variance of each detection's box is multiplied by.
        shift: (2,) how far the picture moved, as all boxes show; pixels along x and y.
        evidence: (2,) whether this camera moves at all, see `CommonMotion`.
    """

    tracks: Indices
    detections: Indices
    doubt: Floats
    shift: Floats
    evidence: Floats
