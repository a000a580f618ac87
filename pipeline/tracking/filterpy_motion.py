"""The same motion filter, one filterpy `KalmanFilter` a track: the reference for `kalman`.

Slow, and meant for checking: full 8 × 8 matrices in the order (p of the four components, then v of
these), filterpy's Joseph form of the covariance update, and a copy of each track's state at its
last observation.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from filterpy.kalman import KalmanFilter
from numpy.typing import NDArray

from pipeline.tracking.forms import XYWH, Form
from pipeline.tracking.motion import VIRTUAL, Floats, Noise


@dataclass(slots=True, eq=False)
class _Track:
    """A filter, its noise, and its last observation.

    Attributes:
        RQU: r, q and u of the four components as diagonal matrices: (3, 4, 4).
        z: the observation, (4,).
        x: the state just after it, (8, 1).
        P: the covariance just after it, (8, 8).
    """

    kf: KalmanFilter
    RQU: Floats
    z: Floats
    x: Floats
    P: Floats


class FilterpyMotion:
    """`Motion` by filterpy.

    Args:
        form: the components of the state.
        noise: in place of the form's.
    """

    def __init__(self, form: Form = XYWH, noise: Noise | None = None) -> None:
        self._form = form
        self._noise = noise or form.noise
        self._tracks: list[_Track] = []

    def __len__(self) -> int:
        return len(self._tracks)

    def predict(self, dt: float) -> None:
        for track in self._tracks:
            self._predict(track, dt)

    def update(
        self, indices: NDArray[np.intp], boxes_xyxy: NDArray[Any], doubt: Floats | float = 1.0
    ) -> None:
        components = self._form.to_components(boxes_xyxy).T
        doubts = np.broadcast_to(doubt, len(components))
        for i, z, factor in zip(indices, components, doubts, strict=True):
            self._correct(self._tracks[i], z, factor)

    def reupdate(
        self, indices: NDArray[np.intp], boxes_xyxy: NDArray[Any], gaps_s: NDArray[Any]
    ) -> None:
        components = self._form.to_components(boxes_xyxy).T
        for i, last, gap_s in zip(indices, components, gaps_s, strict=True):
            track = self._tracks[i]
            track.kf.x, track.kf.P = track.x.copy(), track.P.copy()
            for z in np.linspace(track.z, last, VIRTUAL + 1)[1:]:
                self._predict(track, gap_s / VIRTUAL)
                self._correct(track, z)

    def warp(self, matrix: NDArray[Any]) -> None:
        turn = np.asarray(matrix[:, :2], np.float64)
        zoom = np.sqrt(abs(np.linalg.det(turn))) ** np.array(self._form.lengths)
        A = np.eye(4)
        A[:2, :2], A[2:, 2:] = turn, np.diag(zoom)
        shift = np.append(matrix[:, 2], (0, 0))
        both, shift_both = np.kron(np.eye(2), A), np.append(shift, np.zeros(4))[:, None]
        for track in self._tracks:
            track.z = A @ track.z + shift
            track.RQU = _parted(A @ track.RQU @ A.T)
            for at in (track.kf, track):
                at.x = both @ at.x + shift_both
                at.P = _parted(both @ at.P @ both.T)

    def shifted(self, offset: Floats) -> Self:
        moved = deepcopy(self)
        moved.warp(np.column_stack((np.eye(2), offset)))
        return moved

    def squared_distances(self, tracks: NDArray[np.intp], boxes_xyxy: NDArray[Any]) -> Floats:
        distances = np.empty(len(tracks))
        for k, z in enumerate(self._form.to_components(boxes_xyxy).T):
            track = self._tracks[tracks[k]]
            S = track.kf.P[:4, :4] + track.RQU[0]
            y = z - track.kf.x[:4, 0]
            distances[k] = y @ np.linalg.solve(S, y)
        return distances

    def initiate(self, boxes_xyxy: NDArray[Any]) -> None:
        for z in self._form.to_components(boxes_xyxy).T:
            kf = KalmanFilter(dim_x=8, dim_z=4)
            kf.H = np.eye(4, 8)
            kf.x[:4] = z[:, None]
            scale2 = self._scale2(kf)
            P0 = np.append(self._noise.position * scale2, self._noise.velocity * scale2)
            kf.P = np.diag(P0)
            self._tracks.append(_Track(kf, self._noise_at(kf), z, kf.x.copy(), kf.P.copy()))

    def keep(self, mask: NDArray[np.bool_]) -> None:
        self._tracks = [track for track, kept in zip(self._tracks, mask, strict=True) if kept]

    def boxes_xyxy(self) -> Floats:
        return self._form.from_components(self._states()[:4])

    def velocities(self) -> Floats:
        return self._states()[4:6].T.copy()

    def saved(self) -> dict[str, Floats]:
        tracks = self._tracks
        return {
            "x": np.array([track.kf.x for track in tracks]),
            "P": np.array([track.kf.P for track in tracks]),
            "RQU": np.array([track.RQU for track in tracks]),
            "seen_z": np.array([track.z for track in tracks]),
            "seen_x": np.array([track.x for track in tracks]),
            "seen_P": np.array([track.P for track in tracks]),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._tracks = []
        for x, P, RQU, *seen in zip(*(arrays[name] for name in self.saved()), strict=True):
            kf = KalmanFilter(dim_x=8, dim_z=4)
            kf.H, kf.x, kf.P = np.eye(4, 8), x.copy(), P.copy()
            self._tracks.append(_Track(kf, RQU.copy(), *(array.copy() for array in seen)))

    def _predict(self, track: _Track, dt: float) -> None:
        x = track.kf.x
        for row in self._form.shrinks:
            if x[row] + dt * x[row + 4] <= 0:
                x[row + 4] = 0
        _, q, u = track.RQU
        Q = np.kron(process_noise(dt), q) + np.kron([[dt, 0], [0, 0]], u)
        track.kf.predict(F=np.kron(transition(dt), np.eye(4)), Q=Q)

    def _correct(self, track: _Track, z: Floats, doubt: float = 1.0) -> None:
        # A column: filterpy 2.0 broadcasts a 1-D z to a wrong state without a word.
        track.kf.update(z[:, None], R=doubt * track.RQU[0])
        track.RQU = self._noise_at(track.kf)
        track.z, track.x, track.P = z, track.kf.x.copy(), track.kf.P.copy()

    def _noise_at(self, kf: KalmanFilter) -> Floats:
        """The noise for the state of `kf`, (3, 4, 4)."""
        noise, scale2 = self._noise, self._scale2(kf)
        parts = (noise.measurement, noise.acceleration, noise.walk)
        return np.array([np.diag(part * scale2) for part in parts])

    def _scale2(self, kf: KalmanFilter) -> Floats:
        """What the form makes of the state, (4,)."""
        return np.broadcast_to(self._form.scale2(kf.x[:4]).ravel(), 4)

    def _states(self) -> Floats:
        if not self._tracks:
            return np.empty((8, 0))
        return np.concatenate([track.kf.x for track in self._tracks], axis=1)


def transition(dt: float) -> Floats:
    """F(dt) of one component, (2, 2)."""
    return np.array([[1.0, dt], [0.0, 1.0]])


def process_noise(dt: float) -> Floats:
    """Q(dt) of one component for q = 1 and u = 0, (2, 2): continuous white-noise acceleration."""
    return np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])


def _parted(covariance: Floats) -> Floats:
    """A covariance (..., 4 k, 4 k) without what different components have in common."""
    k = covariance.shape[-1] // 4
    return covariance * np.kron(np.ones((k, k)), np.eye(4))
