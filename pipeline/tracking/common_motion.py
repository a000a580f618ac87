"""The motion that all objects of a camera share, seen in the boxes alone.

A camera that shakes or turns moves every object by the same amount, which no filter of a single
track can foresee. It shows in the innovations (detected minus predicted centre) of the tracks that
were surely found again: if they agree with each other far better than they agree with zero, the
picture has moved, and the tracks that were not found, or found in the wrong place, move with it.

The estimate u is a weighted mean, one step of Huber's from the median, with weights of 1/size² as
the noise is proportional to the size (P. J. Huber, Robust estimation of a location parameter,
1964). With v the variance of that mean, u²/v is about 1 where nothing is shared. Two factors keep a
still camera still: u is shrunk as by James and Stein (Estimation with quadratic loss, 1961), by
1 - v/u², and by how far the average of u²/v over the last seconds is above what chance gives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.motion import Floats

#: Fewer tracks say nothing about the camera.
_FEWEST = 3
#: Memory of whether this camera moves, seconds.
_MEMORY_S = 3.0
#: Average of u²/v up to which the camera counts as still; people who walk together reach it.
_STILL = 2.0
#: What one frame adds to that average at most: one wrong match is no evidence.
_LARGEST = 20.0


class CommonMotion:
    """The shared shift of one camera's objects from frame to frame.

    Attributes:
        evidence: (2,) average of u²/v along x and y; replaced, not changed.
    """

    def __init__(self) -> None:
        self.evidence: Floats = np.zeros(2)

    def shift(
        self, predicted_xyxy: NDArray[Any], detected_xyxy: NDArray[Any], dt: float
    ) -> tuple[Floats, Floats]:
        """How far all objects are from where they were predicted, beyond what each errs alone.

        Args:
            predicted_xyxy: (K, 4) boxes of the tracks that were surely found again, pixels.
            detected_xyxy: (K, 4) their detections.
            dt: seconds since the last frame.

        Returns:
            (2,) pixels along x and y, zero where too few tracks or too little agreement; and what
            the evidence is then, (2,).
        """
        if len(predicted_xyxy) < _FEWEST:
            return np.zeros(2), self.evidence
        predicted, detected = np.ascontiguousarray(predicted_xyxy.T), detected_xyxy.T
        moved, extent = 0.5 * (detected - predicted), predicted[2:] - predicted[:2]
        means, variances = _robust_mean(moved[:2] + moved[2:], extent[0] * extent[1])
        gained = 1 - math.exp(-dt / _MEMORY_S)
        # Python's numbers: of two, numpy would take ten times as long.
        evidence, shift = self.evidence.tolist(), [0.0, 0.0]
        for axis, (mean, variance) in enumerate(
            zip(means.tolist(), variances.tolist(), strict=True)
        ):
            excess = mean * mean / variance
            evidence[axis] += gained * (min(excess, _LARGEST) - evidence[axis])
            moving = 1 - _STILL / max(evidence[axis], _STILL)
            shift[axis] = moving * (1 - 1 / max(excess, 1)) * mean
        return np.array(shift), np.array(evidence)

    def saved(self) -> dict[str, NDArray[Any]]:
        """What `restore` takes."""
        return {"evidence": self.evidence}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Goes on from what was `saved`."""
        self.evidence = arrays["evidence"]


def _robust_mean(innovations: Floats, size2: Floats) -> tuple[Floats, Floats]:
    """Mean (2,) of innovations (2, K) of objects of size² (K,), and its variance (2,)."""
    deviation = np.abs(innovations - _median(innovations)) / np.sqrt(size2)
    typical = np.maximum(_median(deviation), 1e-6)
    weights = 1 / (size2 * np.maximum(1, deviation / (2 * typical)))
    # Not `sum`: that method is Python, and takes twice as long.
    total = np.add.reduce(weights, axis=1)
    mean = np.add.reduce(weights * innovations, axis=1) / total
    spread = np.add.reduce(weights * (innovations - mean[:, None]) ** 2, axis=1) / total
    return mean, spread / (innovations.shape[1] - 1) + 1e-9


def _median(values: Floats) -> Floats:
    """Of each row, (2, K) → (2, 1)."""
    # Not `np.median`: on a few values its checks take ten times as long as the sorting.
    middle = values.shape[1] - 1
    ordered = values.copy()
    ordered.sort(axis=1)
    return 0.5 * (ordered[:, middle // 2, None] + ordered[:, -(-middle // 2), None])
