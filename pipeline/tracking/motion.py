"""How boxes move between frames: the model, and what every motion filter must offer.

A box is described by four components, for instance z = (cx, cy, w, h) in pixels (`forms` has them
all), and each of the four moves by itself with nearly constant velocity [1, sec. 6.2.2]: its
acceleration is white noise of power spectral density q. Besides, its position may walk at random,
with the variance u dt. For one component x = (p, v), over `dt` seconds, this gives exactly

    F(dt) = | 1  dt |   Q(dt) = q | dt³/3  dt²/2 | + u | dt  0 |   H = | 1  0 |   R = r
            | 0   1 |             | dt²/2  dt    |     | 0   0 |

and, because Q is the integral of the continuous noise, predicting over a and then over b equals
predicting over a + b: the result does not depend on the frame rate. That the box itself is the
state, and the identity of a track is found by the overlap of its prediction, is SORT's model [2].

Noise may be proportional to the size of the object, as its image is: r, q and u are given for an
object of size 1 and are multiplied by a scale² which its form takes from the state at the last
update. The scale is held between updates, so that predictions still compose.

[1] Y. Bar-Shalom, X. R. Li, T. Kirubarajan, Estimation with Applications to Tracking and
    Navigation, Wiley 2001.
[2] A. Bewley, Z. Ge, L. Ott, F. Ramos, B. Upcroft, Simple online and realtime tracking, ICIP 2016.
[3] J. Cao, J. Pang, X. Weng, R. Khirodkar, K. Kitani, Observation-centric SORT: rethinking SORT for
    robust multi-object tracking, CVPR 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Four = tuple[float, float, float, float]

#: 0.95 quantile of the chi-square distribution with 4 degrees of freedom: so many of all true pairs
#: are within this squared Mahalanobis distance.
GATE_BOX = 9.487729036781154

#: Virtual observations of `Motion.reupdate`, the real one among them. Of objects that turn round
#: when they are lost, for 3 to 60 frames, velocities then differ from those with one a frame by
#: less than 0.5 % of the size per second in the published forms, and 7 % in our own; those of a
#: mere `update` by up to 26 %.
VIRTUAL = 4


@dataclass(frozen=True, slots=True)
class Noise:
    """The filter's noise by component, for a scale of 1. Variances; all of it diagonal.

    Attributes:
        measurement: r, of a detected box.
        position: initially, of the position.
        velocity: initially, of the velocity, 1/s².
        acceleration: q, 1/s³.
        walk: u, 1/s.
    """

    measurement: Four
    position: Four
    velocity: Four
    acceleration: Four
    walk: Four


class Motion(Protocol):
    """A motion filter over N tracks, in the order in which they were initiated.

    Boxes are (N, 4) xyxy in pixels. Arrays handed out belong to the caller.
    """

    def __len__(self) -> int:
        """Number of tracks."""

    def predict(self, dt: float) -> None:
        """Moves every track `dt` ≥ 0 seconds ahead."""

    def update(
        self, indices: NDArray[np.intp], boxes_xyxy: NDArray[Any], doubt: Floats | float = 1.0
    ) -> None:
        """Corrects the tracks at `indices` (M,), each at most once, by the boxes (M, 4).

        Args:
            indices: of the tracks.
            boxes_xyxy: their detections.
            doubt: (M,) or one for all: what the variance of a detected box is multiplied by.
        """

    def reupdate(
        self, indices: NDArray[np.intp], boxes_xyxy: NDArray[Any], gaps_s: NDArray[Any]
    ) -> None:
        """`update` for tracks found again, observation-centric [3, sec. 4.1].

        What was predicted since a track's last observation is undone, and the track is led along
        the straight line from there to its new box by virtual observations. So its velocity is that
        of the gap, and not that of the moment before it, whose error grew with every prediction.

        The paper has one virtual observation for every missed frame; here there are `VIRTUAL` in
        equal steps, whatever the frame rate.

        Args:
            indices: (M,) the tracks, each at most once.
            boxes_xyxy: (M, 4) their new boxes.
            gaps_s: (M,) seconds > 0 since their last observation.
        """

    def warp(self, matrix: NDArray[Any]) -> None:
        """Moves the tracks with the picture, by an affine camera motion (2, 3): x ← A x + t.

        Centres and their velocities become exactly what the matrix makes of them; lengths are
        multiplied by the mean zoom √|det A|, so that boxes stay upright. All variances follow, even
        those of the noise until the next update, and so does the last observation. What x and y get
        to have in common is dropped: nothing where A turns and zooms and the noise of x and y is
        the same, as in all forms but one; else the variance of each alone is exact.
        """

    def shifted(self, offset: Floats) -> Self:
        """A copy whose tracks are moved by (2,) pixels along x and y, as `warp` would."""

    def squared_distances(self, tracks: NDArray[np.intp], boxes_xyxy: NDArray[Any]) -> Floats:
        """Squared Mahalanobis distance of a box to what its track is expected to measure.

        Args:
            tracks: (P,) track of each pair.
            boxes_xyxy: (P, 4) box of each pair.

        Returns:
            (P,) without unit, to be compared with `GATE_BOX`.
        """

    def initiate(self, boxes_xyxy: NDArray[Any]) -> None:
        """Appends a resting track for every box."""

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Forgets the tracks where `mask` (N,) is False."""

    def boxes_xyxy(self) -> Floats:
        """The tracks' boxes, (N, 4), at least `forms.SMALLEST` wide and high."""

    def velocities(self) -> Floats:
        """The velocities of the boxes' centres, (N, 2), pixels per second."""

    def saved(self) -> dict[str, Floats]:
        """All of the state by name; `restore` takes it back to the last bit."""

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Goes on where a filter of the same kind and form was `saved`; `arrays` stay as is."""
