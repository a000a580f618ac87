"""Small sequences whose best parameters are known."""

from __future__ import annotations

import numpy as np

from pipeline.evaluation.mot_files import MotTable, table_from_rows

FRAMES = 15


def walkers(seed: int, score: float = 0.5) -> tuple[MotTable, MotTable]:
    """Three people who walk, and a detector that is no surer of them than `score`.

    A tracker that takes detections of that score for new objects finds all; else there are none.
    """
    random = np.random.default_rng(seed)
    rows = []
    for person in range(3):
        left, speed = 100 * person + random.uniform(0, 20), random.uniform(-2, 2)
        rows += [[f, person + 1, left + speed * f, 50, 30, 80, 1, 1] for f in range(1, FRAMES + 1)]
    gt = np.array(rows)
    seen = gt.copy()
    seen[:, 1], seen[:, 6] = -1, score - random.uniform(0, 0.05, len(seen))
    seen[:, 2:4] += random.normal(0, 1, (len(seen), 2))
    return table_from_rows(gt), table_from_rows(seen)
