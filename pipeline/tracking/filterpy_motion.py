"""The same motion filter, one filterpy `KalmanFilter` a track: the reference for `kalman`.

Slow, and meant for checking: full 8 × 8 matrices in the order (p of cx, cy, w, h, then v of these),
and filterpy's Joseph form of the covariance update.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from filterpy.kalman import KalmanFilter
from numpy.typing import NDArray

from pipeline.tracking.motion import (
    Floats,
    Noise,
    from_components,
    per_component,
    process_noise,
    squared_size,
    to_components,
    transition,
)


class FilterpyMotion:
    """`Motion` by filterpy."""

    def __init__(self, noise: Noise | None = None) -> None:
        noise = noise or Noise()
        self._r = np.diag(per_component(noise.measurement)[:, 0])
        self._q = np.diag(per_component(noise.acceleration)[:, 0])
        self._v0 = np.diag(per_component(noise.velocity)[:, 0])
        self._filters: list[KalmanFilter] = []
        self._size2: Floats = np.empty(0)

    def __len__(self) -> int:
        return len(self._filters)

    def predict(self, dt: float) -> None:
        F = np.kron(transition(dt), np.eye(4))
        Q = np.kron(process_noise(dt), self._q)
        for kf, size2 in zip(self._filters, self._size2, strict=True):
            kf.predict(F=F, Q=Q * size2)

    def update(self, indices: NDArray[np.intp], boxes_xyxy: NDArray[Any]) -> None:
        for i, z in zip(indices, to_components(boxes_xyxy).T, strict=True):
            kf = self._filters[i]
            # A column: filterpy 2.0 broadcasts a 1-D z to a wrong state without a word.
            kf.update(z[:, None], R=self._r * self._size2[i])
            self._size2[i] = squared_size(kf.x[:4])[0]

    def initiate(self, boxes_xyxy: NDArray[Any]) -> None:
        components = to_components(boxes_xyxy)
        size2 = squared_size(components)
        for z, s in zip(components.T, size2, strict=True):
            kf = KalmanFilter(dim_x=8, dim_z=4)
            kf.H = np.eye(4, 8)
            kf.x[:4] = z[:, None]
            kf.P[:4, :4] = self._r * s
            kf.P[4:, 4:] = self._v0 * s
            self._filters.append(kf)
        self._size2 = np.concatenate((self._size2, size2))

    def keep(self, mask: NDArray[np.bool_]) -> None:
        self._filters = [kf for kf, kept in zip(self._filters, mask, strict=True) if kept]
        self._size2 = self._size2[mask]

    def boxes_xyxy(self) -> Floats:
        return from_components(self._states()[:4])

    def velocities(self) -> Floats:
        return self._states()[4:6].T.copy()

    def _states(self) -> Floats:
        if not self._filters:
            return np.empty((8, 0))
        return np.concatenate([kf.x for kf in self._filters], axis=1)
