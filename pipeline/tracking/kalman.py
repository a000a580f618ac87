"""The Kalman filter of all tracks at once.

The equations are Kalman's (A new approach to linear filtering and prediction problems, 1960), for
the model of `motion`. Noise is diagonal there, so the 8-state filter of a track falls apart into
four 2-state filters, one a component, and every equation becomes element-wise on (4, N) arrays.
With x = (p, v) and the symmetric covariance P = (P00, P01, P11) of one component:

    predict   p ← p + dt v                                  update   S  = P00 + r
              P00 ← P00 + 2 dt P01 + dt² P11 + q dt³/3 + u dt        K  = (P00, P01) / S
              P01 ← P01 + dt P11 + q dt²/2                           x  ← x + K (z - p)
              P11 ← P11 + q dt                                       P11 ← P11 - K1 P01
                                                                     P0· ← (1 - K0) P0·

Over -dt `predict` takes back what it did over dt, for nothing but time went into it, and `warp` may
come between, for it treats r and q as it treats P. So no old state is kept for a track that may be
found again. (Only an area that was stopped at zero, see `Form.shrinks`, stays what it became.)
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.forms import XYWH, Form
from pipeline.tracking.motion import VIRTUAL, Floats, Four, Noise

#: Of the state, see there.
ROWS = 8


class Kalman:
    """`Motion` by a batched constant-velocity Kalman filter, float64.

    Element-wise operations only, no matrix product: the result is the same to the last bit
    whatever the number of threads of a linear-algebra library.

    Args:
        form: the components of the state.
        noise: in place of the form's.
    """

    def __init__(self, form: Form = XYWH, noise: Noise | None = None) -> None:
        noise = noise or form.noise
        self._form = form
        self._r = _column(noise.measurement)
        self._p0 = _column(noise.position)
        self._v0 = _column(noise.velocity)
        self._q = _column(noise.acceleration)
        #: u is scaled as r is, so their ratio is enough; None for no walk.
        self._u_of_r = _column(noise.walk) / self._r if any(noise.walk) else None
        #: Rows p, v, z (last observation), P00, P01, P11, r, q; of each component of each track.
        self._state: Floats = np.empty((ROWS, 4, 0))

    def __len__(self) -> int:
        return len(self._state[0, 0])

    def predict(self, dt: float) -> None:
        self.advance(self._state, dt)

    def update(
        self, indices: NDArray[np.intp], boxes_xyxy: NDArray[Any], doubt: Floats | float = 1.0
    ) -> None:
        state = self._state.take(indices, axis=2)
        self._correct(state, self._form.to_components(boxes_xyxy), doubt)
        self._state[..., indices] = state

    def reupdate(
        self, indices: NDArray[np.intp], boxes_xyxy: NDArray[Any], gaps_s: NDArray[Any]
    ) -> None:
        state = self._state.take(indices, axis=2)
        first, last = state[2].copy(), self._form.to_components(boxes_xyxy)
        self.advance(state, -gaps_s)
        for share in np.arange(1, VIRTUAL + 1) / VIRTUAL:
            self.advance(state, gaps_s / VIRTUAL)
            self._correct(state, (1 - share) * first + share * last)
        self._state[..., indices] = state

    def warp(self, matrix: NDArray[Any]) -> None:
        turn = np.asarray(matrix[:, :2], np.float64)
        centre, extent = self._state[:, :2], self._state[:, 2:]
        centre[:3] = np.einsum("ij,kjn->kin", turn, centre[:3])
        centre[:3:2] += matrix[:, 2:]
        centre[3:] = np.einsum("ij,kjn->kin", turn**2, centre[3:])
        zoom = np.sqrt(abs(np.linalg.det(turn))) ** np.array(self._form.lengths)[:, None]
        extent[:3] *= zoom
        extent[3:] *= zoom**2

    def shifted(self, offset: Floats) -> Self:
        moved = copy(self)
        moved._state = self._state.copy()
        moved._state[:3:2, :2] += offset[:, None]
        return moved

    def squared_distances(self, tracks: NDArray[np.intp], boxes_xyxy: NDArray[Any]) -> Floats:
        p, p00, r = self._state[[0, 3, 6]].take(tracks, axis=2)
        terms = (self._form.to_components(boxes_xyxy) - p) ** 2 / (p00 + r)
        distances: Floats = terms.sum(axis=0)
        return distances

    def initiate(self, boxes_xyxy: NDArray[Any]) -> None:
        born = np.zeros((8, 4, len(boxes_xyxy)))
        born[0] = born[2] = self._form.to_components(boxes_xyxy)
        scale2 = self._scale_noise(born)
        born[3], born[5] = self._p0 * scale2, self._v0 * scale2
        self._state = np.concatenate((self._state, born), axis=2)

    def keep(self, mask: NDArray[np.bool_]) -> None:
        self._state = self._state.compress(mask, axis=2)

    def boxes_xyxy(self) -> Floats:
        return self._form.from_components(self._state[0])

    def velocities(self) -> Floats:
        return self._state[1, :2].T.copy()

    def saved(self) -> dict[str, Floats]:
        return {"state": self._state.copy()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._state = np.array(arrays["state"], np.float64)

    def advance(self, state: Floats, dt: float | Floats) -> None:
        """Moves a `state` (8, 4, M) ahead in place, all tracks by `dt` or each by its own (M,)."""
        p, v, _, p00, p01, p11, r, q = state
        for row in self._form.shrinks:
            v[row] *= p[row] + dt * v[row] > 0
        shift = dt * p11
        p += dt * v
        p00 += dt * (2 * p01 + shift) + dt**3 / 3 * q
        p01 += shift + dt**2 / 2 * q
        p11 += dt * q
        if self._u_of_r is not None:
            p00 += dt * self._u_of_r * r

    def _correct(self, state: Floats, z: Floats, doubt: Floats | float = 1.0) -> None:
        """Corrects the tracks of `state` (8, 4, M) by the observations (4, M)."""
        x, p0 = state[:2], state[3:5]
        r = state[6] * doubt
        s = p0[0] + r
        gain = p0 / s
        x += gain * (z - x[0])
        state[5] -= gain[1] * p0[1]
        p0 *= r / s  # 1 - K0, without taking two numbers near 1 from each other
        state[2] = z
        self._scale_noise(state)

    def _scale_noise(self, state: Floats) -> Floats:
        """Sets r and q for the scale² in p, and returns it."""
        scale2 = self._form.scale2(state[0])
        np.multiply(self._r, scale2, out=state[6])
        np.multiply(self._q, scale2, out=state[7])
        return scale2


def _column(values: Four) -> Floats:
    """One value a component as (4, 1)."""
    return np.array(values)[:, None]
