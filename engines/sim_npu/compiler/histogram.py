"""A histogram of a stream of tensors: bounded memory, whatever comes and however much."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import TensorError

#: Bins from -limit to limit; half of them are what Migacz (2017) uses for magnitudes.
BINS = 4096


class Histogram:
    """How often which values came.

    The limit is a power of two that doubles, two bins becoming one, when a larger value comes.

    Attributes:
        lowest: exact smallest value; inf before the first.
        highest: exact largest value; -inf before the first.
        limit: bins lie evenly from -limit to limit.
        counts: int64 [`BINS`].
    """

    def __init__(self) -> None:
        self.lowest, self.highest = np.inf, -np.inf
        self.limit = 0.0
        self.counts = np.zeros(BINS, np.int64)

    def add(self, values: NDArray[Any]) -> None:
        """Counts an array of any shape. Raises `TensorError` where it has NaN or infinity."""
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not np.isfinite([low, high]).all():
            wrong = int(values.size - np.isfinite(values).sum())
            raise TensorError(f"{wrong} of {values.size} values are NaN or infinite")
        self.lowest, self.highest = min(self.lowest, low), max(self.highest, high)
        self._widen(max(-low, high))
        if self.limit:
            places = (values.ravel() + np.float32(self.limit)) * (BINS / 2 / self.limit)
            places = np.clip(places.astype(np.int32), 0, BINS - 1)
            self.counts += np.bincount(places, minlength=BINS)
        else:
            self.counts[BINS // 2] += values.size

    def magnitudes(self) -> NDArray[np.int64]:
        """Counts of absolute values, from 0 to the limit, in half as many bins."""
        below, above = np.split(self.counts, 2)
        return np.asarray(above + below[::-1])

    def quantile(self, share: float) -> float:
        """The value that this share of all values does not exceed."""
        wanted = share * self.counts.sum()
        edges = np.linspace(-self.limit, self.limit, BINS + 1)
        value = np.interp(wanted, np.append(0, np.cumsum(self.counts)), edges)
        return float(np.clip(value, self.lowest, self.highest))

    def _widen(self, magnitude: float) -> None:
        """Makes room for a value."""
        if magnitude <= self.limit or not magnitude:
            return
        wanted = float(2.0 ** np.ceil(np.log2(magnitude)))
        while self.counts.any() and 0 < self.limit < wanted:
            pairs = self.counts.reshape(-1, 2).sum(1)
            self.counts[:] = 0
            self.counts[BINS // 4 : BINS // 4 * 3] = pairs
            self.limit *= 2
        self.limit = wanted
