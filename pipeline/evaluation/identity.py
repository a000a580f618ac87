"""The identity metrics IDF1, IDP and IDR.

E. Ristani, F. Solera, R. Zou, R. Cucchiara, C. Tomasi: "Performance Measures and a Data Set for
Multi-Target, Multi-Camera Tracking", ECCV Workshops (2016).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.overlap import best_matches
from pipeline.evaluation.sequence import Groups, Sequence


@dataclass(frozen=True, slots=True)
class Identity:
    """Counts; those of several sequences can be added.

    Attributes:
        idtp: boxes whose identity is right under the best one-to-one mapping of identities.
        idfn: boxes of the ground truth without one.
        idfp: boxes of the result without one.
    """

    idtp: int
    idfn: int
    idfp: int

    def __add__(self, other: Identity) -> Identity:
        return Identity(self.idtp + other.idtp, self.idfn + other.idfn, self.idfp + other.idfp)

    @property
    def idf1(self) -> float:
        """2 IDTP / (2 IDTP + IDFP + IDFN)."""
        return self.idtp / max(1.0, self.idtp + 0.5 * (self.idfp + self.idfn))

    @property
    def idp(self) -> float:
        """IDTP / (IDTP + IDFP)."""
        return self.idtp / max(1, self.idtp + self.idfp)

    @property
    def idr(self) -> float:
        """IDTP / (IDTP + IDFN)."""
        return self.idtp / max(1, self.idtp + self.idfn)


def identity(sequence: Sequence, groups: Groups, threshold: float = 0.5) -> list[Identity]:
    """Counts of each group, under one mapping; a box matches from an overlap of `threshold` on.

    The paper's mapping minimises misses plus false positives of a square problem with a dummy
    partner for every identity. A pair (i, j) saves twice its common boxes there, so the mapping
    that maximises the common boxes is the same.
    """
    common = np.zeros((len(sequence.gt_boxes), len(sequence.result_boxes)))
    for step in sequence.steps:
        common[np.ix_(step.gt, step.result)] += step.iou >= threshold
    rows, columns = best_matches(common)
    idtp = np.bincount(groups.of_object[rows], common[rows, columns], minlength=len(groups))
    counts = (idtp, groups.gt_total - idtp, groups.result_total - idtp)
    return [Identity(*map(int, group)) for group in zip(*counts, strict=True)]
