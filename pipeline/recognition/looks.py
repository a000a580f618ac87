"""What a network said about single objects, before anything is made of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """One attribute of M objects, as a network saw it in one frame.

    Attributes:
        values: (V,) str, all different, none empty: what it can say, or what it said.
        weights: (M, V) float32, how sure it was of each value, 0..1, at most 1 in all.
        looked: (M,) whether the object was looked at; the weights of others are 0.
    """

    values: NDArray[np.str_]
    weights: NDArray[np.float32]
    looked: NDArray[np.bool_]

    def take(self, rows: Indices) -> Looks:
        """Those of the objects `rows` (K,)."""
        return Looks(self.values, self.weights[rows], self.looked[rows])

    def spread(self, rows: Indices, count: int) -> Looks:
        """These looks as those at the objects `rows` (M,) of `count`, the others not looked at."""
        weights = np.zeros((count, len(self.values)), np.float32)
        looked = np.zeros(count, np.bool_)
        weights[rows], looked[rows] = self.weights, self.looked
        return Looks(self.values, weights, looked)
