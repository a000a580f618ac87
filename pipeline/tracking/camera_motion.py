"""How the camera moved between two frames, seen from corners of the background.

The camera-motion compensation of BoT-SORT [1, sec. 3.2]: corners [2] outside of the detected
objects, which move by themselves, are followed by pyramidal Lucas-Kanade [3]; those that do not
come back to where they started, when followed backwards, are left out [4]; RANSAC [5] finds the
similarity (rotation, one scale, shift) that most of the rest agree on. All of it is OpenCV's, on a
small grey picture. A similarity is what a box survives: it is still a box afterwards.

What cannot be known is not guessed: there is no motion where the picture has too little texture,
where less than half of the corners agree (a cut, a flash, a bus that fills the picture), or where
the few that do lie so close together that the picture's far corners are anybody's guess.

A camera that stands still must not be made to tremble. A motion too small to be told from noise is
none at all, exactly; and the next frame is then compared with the same picture as this one, so that
slow motion adds up until it shows, instead of being lost in small steps.

[1] N. Aharon, R. Orfaig, B.-Z. Bobrovsky, BoT-SORT: robust associations multi-pedestrian tracking,
    arXiv 2206.14651, 2022.
[2] J. Shi, C. Tomasi, Good features to track, CVPR 1994.
[3] J.-Y. Bouguet, Pyramidal implementation of the Lucas Kanade feature tracker, Intel 2000.
[4] Z. Kalal, K. Mikolajczyk, J. Matas, Forward-backward error: automatic detection of tracking
    failures, ICPR 2010.
[5] M. A. Fischler, R. C. Bolles, Random sample consensus, Communications of the ACM 24(6), 1981.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.motion import Floats

Gray = NDArray[np.uint8]
Points = NDArray[np.float32]

# Lengths in pixels of the small picture.
#: A corner that comes back further away than this, followed there and back, was lost.
_RETURN = 0.5
#: A corner this close to where the similarity puts it agrees with it.
_AGREE = 1.0
#: Nothing moved if no corner of the picture did by more than this.
_STILL = 0.25
#: The standard error at the picture's worst corner may be this large; of a street by day it is a
#: tenth of that.
_UNSURE = 0.5

#: So many corners must agree, at least,
_FEWEST = 10
#: and this share of those that were followed.
_MAJORITY = 0.5

#: A corner this much weaker than the strongest is none (Shi and Tomasi's smaller eigenvalue).
_QUALITY = 0.003
_WINDOW = (15, 15)
#: Of the pyramid: a shift by a sixth of the width is followed. With one less it is a tenth.
_LEVELS = 4
_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.03)
_NO_CORNERS = np.empty((0, 1, 2), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class CameraMotion:
    """Where the background went between two frames of one camera.

    Attributes:
        matrix: (2, 3) float64, affine (a similarity): a point (x, y) of the background in the frame
            at `since_ns` is at ``matrix @ (x, y, 1)`` in this one; pixels, continuous coordinates.
        since_ns: presentation time of the earlier frame.
    """

    matrix: Floats
    since_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A picture as it is compared.

    Attributes:
        small: (h, w) uint8.
        size: (2,) width and height of the full picture, pixels.
        corners: (K, 1, 2) float32 of the background, pixels of `small`; empty until looked for.
    """

    small: Gray
    size: Floats
    corners: Points

    @property
    def step(self) -> Floats:
        """Pixels of the full picture to one of `small`, along x and y: (2,)."""
        height, width = self.small.shape
        return self.size / (width, height)

    @property
    def outline(self) -> Floats:
        """The full picture's four corners, (4, 2)."""
        return self.size * ((0, 0), (1, 0), (0, 1), (1, 1))


class MotionEstimator:
    """The motion of one camera, frame by frame.

    The same pictures give the same motion to the last bit, whatever the number of OpenCV's threads:
    its RANSAC draws from a generator of its own that starts anew each time.

    Args:
        width: of the small picture on which everything happens, pixels; a narrower one stays.
        features: corners that are followed, at most.
    """

    def __init__(self, width: int = 480, features: int = 100) -> None:
        self._width = width
        self._features = features
        self._reference: _View | None = None
        self._boxes_xyxy: NDArray[Any] = np.empty((0, 4))
        self._pts_ns: int | None = None

    def estimate(
        self, gray: Gray, pts_ns: int, boxes_xyxy: NDArray[Any] | None = None
    ) -> CameraMotion | None:
        """The motion from the last frame to this one.

        Args:
            gray: (h, w) uint8, of any contrast; not kept.
            pts_ns: the frame's time.
            boxes_xyxy: (N, 4) what moves by itself, in pixels of `gray`; None where nobody looked:
                it is then about where it was.

        Returns:
            None where it cannot be known: at the first frame, after a change of size or scene,
            without texture; and at a frame not later than the last one, which changes nothing.
        """
        since_ns = self._pts_ns
        if since_ns is not None and pts_ns <= since_ns:
            return None
        self._pts_ns = pts_ns
        if boxes_xyxy is not None:
            self._boxes_xyxy = boxes_xyxy
        view = _shrunk(gray, self._width)
        matrix, agreeing = _compare(self._reference, view)
        still = matrix is not None and _is_still(matrix, view)
        if not still or agreeing < _MAJORITY:
            self._reference = self._with_corners(view)
        if matrix is None or since_ns is None:
            return None
        return CameraMotion(np.eye(2, 3) if still else matrix, since_ns)

    def _with_corners(self, view: _View) -> _View:
        """The view with the best corners of its background, well spread."""
        mask = _background(view, self._boxes_xyxy)
        apart = 0.5 * math.sqrt(view.small.size / self._features)
        found = cv2.goodFeaturesToTrack(view.small, self._features, _QUALITY, apart, mask=mask)
        # OpenCV gives None, though its types do not say so, where there is no corner.
        return view if found is None else replace(view, corners=np.asarray(found, np.float32))


def _shrunk(gray: Gray, width: int) -> _View:
    """The picture at most `width` wide, its corners not looked for yet."""
    full_height, full_width = gray.shape
    width = min(width, full_width)
    size = width, max(1, round(full_height * width / full_width))
    small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    full = np.array([full_width, full_height], np.float64)
    return _View(np.asarray(small, np.uint8), full, _NO_CORNERS)


def _background(view: _View, boxes_xyxy: NDArray[Any]) -> Gray:
    """255 where none of the boxes (N, 4) is, else 0: as large as the small picture."""
    mask = np.full(view.small.shape, 255, np.uint8)
    boxes = np.clip(boxes_xyxy, 0, np.tile(view.size, 2)) / np.tile(view.step, 2)
    # A corner is as large as the block it is found in.
    low, high = np.floor(boxes[:, :2]) - 1, np.ceil(boxes[:, 2:]) + 1
    edges = np.hstack([np.maximum(low, 0), high]).astype(np.intp)
    for left, top, right, bottom in edges.tolist():
        mask[top:bottom, left:right] = 0
    return mask


def _compare(reference: _View | None, view: _View) -> tuple[Floats | None, float]:
    """The similarity (2, 3) from one full picture to the other, None where it cannot be known.

    And what share of the reference's corners agrees with it.
    """
    if reference is None or not np.array_equal(reference.size, view.size):
        return None, 0.0
    before, after = (_full(corners, view.step) for corners in _followed(reference, view.small))
    if len(before) < _FEWEST:
        return None, 0.0
    pixel = view.step.max()
    found, mask = cv2.estimateAffinePartial2D(
        before, after, method=cv2.RANSAC, ransacReprojThreshold=_AGREE * pixel, confidence=0.999
    )
    agree = np.ravel(mask) == 1
    if found is None or agree.sum() < max(_FEWEST, _MAJORITY * len(before)):
        return None, 0.0
    matrix = np.asarray(found, np.float64)
    if _uncertainty(matrix, before[agree], after[agree], view.outline) > _UNSURE * pixel:
        return None, 0.0
    return matrix, float(agree.sum() / len(reference.corners))


def _followed(reference: _View, small: Gray) -> tuple[Points, Points]:
    """Where corners are in the reference and in the other picture, each (M, 2) of its pixels."""
    start = reference.corners
    if not len(start):
        return start[:, 0], start[:, 0]
    there, seen = _flow(reference.small, small, start)
    back, seen_again = _flow(small, reference.small, there)
    kept = seen & seen_again & (np.abs(back - start).max(axis=(1, 2)) <= _RETURN)
    return start[kept, 0], there[kept, 0]


def _flow(one: Gray, other: Gray, corners: Points) -> tuple[Points, NDArray[np.bool_]]:
    """Where corners (K, 1, 2) of the one picture are in the other, and which were found (K,)."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        one, other, corners, np.empty_like(corners), None, None, _WINDOW, _LEVELS, _STOP
    )
    return np.asarray(there, np.float32), np.ravel(found) == 1


def _full(corners: Points, step: Floats) -> Points:
    """From pixel indices of the small picture to continuous coordinates of the full one, (M, 2)."""
    return np.asarray((corners + 0.5) * step, np.float32)


def _uncertainty(matrix: Floats, before: Points, after: Points, where: Floats) -> float:
    """Standard error of a similarity, fitted to M pairs of points, at the worst of `where` (P, 2).

    Least squares: the shift is as sure as the mean of M points, turn and scale as their moment
    allows, so the variance at distance d from their middle is σ² (1 / M + d² / Σ dᵢ²).
    """
    error = after - _moved(matrix, before)
    variance = (error**2).sum() / (2 * len(before) - 4)
    middle = before.mean(axis=0)
    moment = ((before - middle) ** 2).sum()
    furthest = ((where - middle) ** 2).sum(axis=1).max()
    return math.sqrt(variance * (1 / len(before) + furthest / max(moment, 1e-9)))


def _is_still(matrix: Floats, view: _View) -> bool:
    """Whether no point of the picture moves so far that it could be told from noise."""
    shift = np.abs(_moved(matrix, view.outline) - view.outline)
    return bool(shift.max() <= _STILL * view.step.max())


def _moved(matrix: Floats, points: NDArray[Any]) -> Floats:
    """Points (N, 2) through an affine map (2, 3)."""
    moved: Floats = points @ matrix[:, :2].T + matrix[:, 2]
    return moved
