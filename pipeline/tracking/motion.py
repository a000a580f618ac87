"""How boxes move between frames: the model, and what every motion filter must offer.

A box is described by z = (cx, cy, w, h), in pixels, and each of the four components moves by itself
with nearly constant velocity [1, sec. 6.2.2]: its acceleration is white noise of power spectral
density q. For one component x = (p, v), over `dt` seconds, this gives exactly

    F(dt) = | 1  dt |     Q(dt) = q | dt³/3  dt²/2 |     H = | 1  0 |     R = r
            | 0   1 |               | dt²/2  dt    |

and, because Q is the integral of the continuous noise, predicting over a and then over b equals
predicting over a + b: the result does not depend on the frame rate. That the box itself is the
state, and the identity of a track is found by the overlap of its prediction, is SORT's model [2].

Noise is proportional to the size of the object, as its image is: q and r are given for an object
of size 1 and are multiplied by size², size = √(w h) at the last update. The size is held between
updates, so that predictions still compose.

[1] Y. Bar-Shalom, X. R. Li, T. Kirubarajan, Estimation with Applications to Tracking and
    Navigation, Wiley 2001.
[2] A. Bewley, Z. Ge, L. Ott, F. Ramos, B. Upcroft, Simple online and realtime tracking, ICIP 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: No box is thinner or smaller than this, in pixels: a prediction may not shrink through zero.
SMALLEST = 1.0


@dataclass(frozen=True, slots=True)
class Noise:
    """The filter's noise for an object of size 1; times size² it is in pixels². Diagonal.

    The defaults are a detector that errs by a tenth of the size, objects that start at about their
    own size per second, and change that by about half of it within a second.

    Attributes:
        measurement: r of centre and extent: variance of a detected box.
        velocity: initial variance of the velocities of centre and extent, 1/s².
        acceleration: q of centre and extent, 1/s³.
    """

    measurement: tuple[float, float] = (0.01, 0.01)
    velocity: tuple[float, float] = (1.0, 0.1)
    acceleration: tuple[float, float] = (0.3, 0.3)


class Motion(Protocol):
    """A motion filter over N tracks, in the order in which they were initiated.

    Boxes are (N, 4) xyxy in pixels. Arrays handed out belong to the caller.
    """

    def __len__(self) -> int:
        """Number of tracks."""

    def predict(self, dt: float) -> None:
        """Moves every track `dt` ≥ 0 seconds ahead."""

    def update(self, indices: NDArray[np.intp], boxes_xyxy: NDArray[Any]) -> None:
        """Corrects the tracks at `indices` (M,), each at most once, by the boxes (M, 4)."""

    def initiate(self, boxes_xyxy: NDArray[Any]) -> None:
        """Appends a resting track for every box."""

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Forgets the tracks where `mask` (N,) is False."""

    def boxes_xyxy(self) -> Floats:
        """The tracks' boxes, (N, 4), at least `SMALLEST` wide and high."""

    def velocities(self) -> Floats:
        """The velocities of the boxes' centres, (N, 2), pixels per second."""


def transition(dt: float) -> Floats:
    """F(dt) of one component, (2, 2)."""
    return np.array([[1.0, dt], [0.0, 1.0]])


def process_noise(dt: float) -> Floats:
    """Q(dt) of one component for q = 1, (2, 2): continuous white-noise acceleration."""
    return np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])


def per_component(centre_extent: tuple[float, float]) -> Floats:
    """(centre, extent) as a column (4, 1) for cx, cy, w, h."""
    centre, extent = centre_extent
    return np.array([[centre], [centre], [extent], [extent]])


def to_components(boxes_xyxy: NDArray[Any]) -> Floats:
    """Boxes (N, 4) xyxy as components cx, cy, w, h: (4, N)."""
    columns = np.array(boxes_xyxy.T, np.float64, order="C")
    near, far = columns[:2], columns[2:]
    far -= near
    near += 0.5 * far
    return columns


def from_components(components: Floats) -> Floats:
    """Components (4, N) as boxes (N, 4) xyxy, extents not below `SMALLEST`."""
    centre, half = components[:2], np.maximum(components[2:], SMALLEST) * 0.5
    return np.concatenate((centre - half, centre + half)).T


def squared_size(components: Floats) -> Floats:
    """size² = w h of components (4, N): (N,)."""
    width, height = np.maximum(components[2:], SMALLEST)
    size2: Floats = width * height
    return size2
