"""How far a tensor is from what it should be, summed up over many runs."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log10, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Difference:
    """Of one tensor; one that came in another shape is counted and left out of the figures.

    Attributes:
        runs: compared.
        misfits: runs that gave it in another shape.
        largest: magnitude that was expected.
        apart: largest difference.
        signal: sum of squares of what was expected.
        noise: sum of squares of the difference.
        power: sum of squares of what was found.
        product: sum of the products of both.
    """

    runs: int = 0
    misfits: int = 0
    largest: float = 0.0
    apart: float = 0.0
    signal: float = 0.0
    noise: float = 0.0
    power: float = 0.0
    product: float = 0.0

    def add(self, expected: NDArray[Any], found: NDArray[Any]) -> None:
        """Counts one run."""
        if expected.shape != found.shape:
            self.misfits += 1
            return
        a, b = (array.astype(np.float64).ravel() for array in (expected, found))
        apart = a - b
        self.runs += 1
        self.largest = max(self.largest, float(np.abs(a).max(initial=0.0)))
        self.apart = max(self.apart, float(np.abs(apart).max(initial=0.0)))
        self.signal += float(a @ a)
        self.noise += float(apart @ apart)
        self.power += float(b @ b)
        self.product += float(a @ b)

    @property
    def relative(self) -> float:
        """Largest difference over the largest magnitude; 0 where equal."""
        if not self.apart:
            return 0.0
        return self.apart / self.largest if self.largest else inf

    @property
    def snr_db(self) -> float:
        """Power of the signal to power of the difference, in decibels; inf where equal."""
        if not self.noise:
            return inf
        return 10 * log10(self.signal / self.noise) if self.signal else -inf

    @property
    def cosine(self) -> float:
        """Of the angle between both, taken as vectors; 1 where equal, 0 where only one is zero."""
        if not self.noise:
            return 1.0
        lengths = sqrt(self.signal * self.power)
        return self.product / lengths if lengths else 0.0
