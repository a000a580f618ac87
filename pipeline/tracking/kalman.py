"""The Kalman filter of all tracks at once.

The equations are Kalman's (A new approach to linear filtering and prediction problems, 1960), for
the model of `motion`. Noise is diagonal there, so the 8-state filter of a track falls apart into
four 2-state filters, one a component, and every equation becomes element-wise on (4, N) arrays.
With x = (p, v) and the symmetric covariance P = (P00, P01, P11) of one component:

    predict   p ← p + dt v                          update   S  = P00 + r
              P00 ← P00 + 2 dt P01 + dt² P11 + q dt³/3        K  = (P00, P01) / S
              P01 ← P01 + dt P11 + q dt²/2                    x  ← x + K (z - p)
              P11 ← P11 + q dt                                P11 ← P11 - K1 P01
                                                              P0· ← (1 - K0) P0·
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.motion import (
    Floats,
    Noise,
    from_components,
    per_component,
    squared_size,
    to_components,
)


class Kalman:
    """`Motion` by a batched constant-velocity Kalman filter, float64.

    Element-wise operations only, no matrix product: the result is the same to the last bit
    whatever the number of threads of a linear-algebra library.
    """

    def __init__(self, noise: Noise | None = None) -> None:
        noise = noise or Noise()
        self._r = per_component(noise.measurement)
        self._q = per_component(noise.acceleration)
        self._v0 = per_component(noise.velocity)
        #: Rows p, v, P00, P01, P11, r, q; of each component of each track.
        self._state: Floats = np.empty((7, 4, 0))

    def __len__(self) -> int:
        return len(self._state[0, 0])

    def predict(self, dt: float) -> None:
        p, v, p00, p01, p11, _, q = self._state
        p += dt * v
        shift = dt * p11
        p00 += dt * (2 * p01 + shift) + dt**3 / 3 * q
        p01 += shift + dt**2 / 2 * q
        p11 += dt * q

    def update(self, indices: NDArray[np.intp], boxes_xyxy: NDArray[Any]) -> None:
        state = self._state.take(indices, axis=2)
        p, v, p00, p01, p11, r, _ = state
        s = p00 + r
        gain0, gain1 = p00 / s, p01 / s
        innovation = to_components(boxes_xyxy) - p
        p += gain0 * innovation
        v += gain1 * innovation
        p11 -= gain1 * p01
        stay = 1 - gain0
        p00 *= stay
        p01 *= stay
        self._scale_noise(state)
        self._state[:, :, indices] = state

    def initiate(self, boxes_xyxy: NDArray[Any]) -> None:
        born = np.zeros((7, 4, len(boxes_xyxy)))
        born[0] = to_components(boxes_xyxy)
        self._scale_noise(born)
        born[2], born[4] = born[5], self._v0 * squared_size(born[0])
        self._state = np.concatenate((self._state, born), axis=2)

    def keep(self, mask: NDArray[np.bool_]) -> None:
        self._state = self._state[:, :, mask]

    def boxes_xyxy(self) -> Floats:
        return from_components(self._state[0])

    def velocities(self) -> Floats:
        return self._state[1, :2].T.copy()

    def _scale_noise(self, state: Floats) -> None:
        """Sets r and q for the sizes in p."""
        size2 = squared_size(state[0])
        np.multiply(self._r, size2, out=state[5])
        np.multiply(self._q, size2, out=state[6])
