"""How long tracks stayed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np

#: Lower ends of the bins, seconds; a bin ends where the next begins, and the last one never.
DWELLS_S = (0, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)


def dwell_times(seconds: Sequence[float]) -> dict[str, Any]:
    """Counts in the bins of `DWELLS_S`, and quantiles; None where there is no track."""
    counts = [0] * len(DWELLS_S)
    for one in seconds:
        counts[bisect_right(DWELLS_S, one) - 1] += 1
    median, p95 = np.quantile(seconds, [0.5, 0.95]).round(2).tolist() if seconds else (None, None)
    return {"counts": counts, "median_s": median, "p95_s": p95}
