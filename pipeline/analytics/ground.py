"""The ground that a camera looks at: from the picture to metres, and how fast tracks go there.

A plane seen by a camera is a projective image of it: with x a point of the picture and X one of
the ground, both in homogeneous coordinates, X ~ H x. H is found by the normalised direct linear
transform, in the least squares of its algebraic error (Hartley and Zisserman, Multiple View
Geometry in Computer Vision, 2nd edition, algorithm 4.2).
"""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline.analytics.paths import Steps
from pipeline.analytics.roll import Ids, Roll
from pipeline.tracking.motion import Floats
from pipeline.tracking.zones import Point, Shape, anchors

#: Least ratio of the smallest singular value that must not be 0 to the largest one.
_PLANE = 1e-6
_KMH = 3.6


class GroundSpec(Shape):
    """Where points of the picture are on the ground."""

    cameras: Annotated[tuple[str, ...] | None, Field(strict=False, min_length=1)] = None
    """Ids of the cameras it is for; all by default. Of two for a camera the first one holds."""

    points: Annotated[tuple[Point, ...], Field(strict=False, min_length=4)]
    """Points [x, y] of the picture that lie on the ground, four or more, no three on one line."""

    metres: Annotated[tuple[Point, ...], Field(strict=False, min_length=4)]
    """Where the same points are on the ground: [x, y] metres, from and along whatever you like."""

    @model_validator(mode="after")
    def _is_a_plane(self) -> Self:
        if len(self.points) != len(self.metres):
            found = f"{len(self.points)} and {len(self.metres)}"
            raise ValueError(f"expected as many points as metres, found {found}")
        homography(np.array(self.points), np.array(self.metres))
        return self

    def plane(self, width: int, height: int) -> Floats:
        """The homography (3, 3) from pixels of a picture of this size to metres."""
        placed = self.in_pixels(width, height)
        return homography(np.array(placed.points), np.array(placed.metres))


def homography(points: Floats, metres: Floats) -> Floats:
    """The (3, 3) matrix that leads from points (N, 2) to metres (N, 2), N of 4 or more.

    Of positive scale where the points are: what it gives a third coordinate below 0 is beyond the
    horizon.

    Raises:
        ValueError: they do not say where the ground is.
    """
    here, there = _normalising(points), _normalising(metres)
    x, y = to_plane(here, points), to_plane(there, metres)
    ones, zeros = np.ones((len(x), 1)), np.zeros((len(x), 3))
    x = np.concatenate((x, ones), axis=1)
    system = np.concatenate(
        (
            np.concatenate((x, zeros, -y[:, :1] * x), axis=1),
            np.concatenate((zeros, x, -y[:, 1:] * x), axis=1),
        )
    )
    _, scales, rows = np.linalg.svd(system)
    matrix: Floats = rows[-1].reshape(3, 3)
    if scales[7] < _PLANE * scales[0] or abs(np.linalg.det(matrix)) < _PLANE:
        raise ValueError("too many of the points, or of the metres, are on one line")
    matrix = np.linalg.inv(there) @ matrix @ here
    depths = np.concatenate((points, ones), axis=1) @ matrix[2]
    if depths[0] < 0:
        matrix, depths = -matrix, -depths
    if depths.min() <= 0:
        raise ValueError("points and metres fit no view of a plane; are they in the same order?")
    return matrix


def to_plane(matrix: Floats, points: Floats) -> Floats:
    """Where points (N, 2) are on the ground, (N, 2); NaN where they are beyond the horizon."""
    mapped = np.concatenate((points, np.ones((len(points), 1))), axis=1) @ matrix.T
    depth = np.where(mapped[:, 2:] > 0, mapped[:, 2:], np.nan)
    places: Floats = mapped[:, :2] / depth
    return places


def _normalising(points: Floats) -> Floats:
    """The (3, 3) matrix that brings the points' centre to 0 and their mean distance to √2."""
    centre = points.mean(axis=0)
    spread = float(np.hypot(*(points - centre).T).mean())
    if spread == 0:
        raise ValueError("too many of the points, or of the metres, are on one line")
    scale = np.sqrt(2) / spread
    x, y = -scale * centre
    return np.array([[scale, 0, x], [0, scale, y], [0, 0, 1.0]])


class Speeds:
    """How fast each track of one camera goes over the ground.

    The mean velocity of its foot's path, in which what was t seconds ago has the weight
    exp(-t / w). It is a mean of vectors over time: jitter there and back cancels out, and a way
    that is told in more or fewer pieces gives the same. Known of a track that was followed for w.

    Args:
        plane: as `GroundSpec.plane` gives it.
        window_s: w.
    """

    def __init__(self, plane: Floats, window_s: float) -> None:
        self._plane = plane
        self._window_s = window_s
        self._roll = Roll(
            [("moved", np.float64, (2,)), ("weight", np.float64), ("followed_s", np.float64)]
        )

    def step(self, steps: Steps) -> None:
        """Takes in what the tracks did in a frame."""
        self._roll.drop(steps.ended.ids)
        rows, _ = self._roll.rows(steps.ids)
        records = self._roll.records[rows]
        passed_s = (steps.pts_ns - steps.since_ns) / 1e9
        a, b = (
            to_plane(self._plane, anchors(boxes_xyxy, "foot"))
            for boxes_xyxy in (steps.from_xyxy, steps.to_xyxy)
        )
        fading = np.exp(-passed_s / self._window_s)
        velocities = (b - a) / np.maximum(passed_s, 1e-9)[:, None]
        new = self._window_s * (1 - fading)
        records["moved"] = records["moved"] * fading[:, None] + velocities * new[:, None]
        records["weight"] = records["weight"] * fading + new
        records["followed_s"] += passed_s
        # Who was beyond the horizon begins again.
        records[np.isnan(records["moved"]).any(axis=1)] = 0
        records["id"] = steps.ids
        self._roll.records[rows] = records

    def of(self, ids: Ids) -> NDArray[np.float32]:
        """Of these tracks (N,), km/h (N,) float32; NaN where it is not known."""
        speeds = np.full(len(ids), np.nan, np.float32)
        known = self._roll.known(ids)
        rows, _ = self._roll.rows(ids[known])
        records = self._roll.records[rows]
        settled = records["followed_s"] >= self._window_s
        weights = np.where(settled, records["weight"], np.nan)
        speeds[known] = _KMH * np.hypot(*records["moved"].T) / weights
        return speeds
