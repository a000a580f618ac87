"""Gaps in finished tracks, filled afterwards: for recorded video, where the future is known.

`linear` puts the boxes of a gap on the straight way between the two around it, as ByteTrack's
post-processing does (Zhang et al., ECCV 2022). `gaussian` smooths what that gives, as GIAOTracker's
Gaussian-smoothed interpolation does (Du et al., ICCV Workshops 2021; also StrongSORT, Du et al.,
2022): every component of a track's boxes is a Gaussian process over time with kernel
exp(-Δt² / 2λ²), and its posterior mean replaces them. Theirs has a λ that falls with the track's
length and one noise for all; here λ is `_SCALE_S`, the noise is estimated from each track, and the
process is about the straight line that fits best.

A gap is filled if the time between the boxes around it is at most `max_gap_s`; a track is never
prolonged beyond its first or last box. Rows that were added have the score `UNSEEN`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_toeplitz

from pipeline.evaluation.mot_files import MotTable, check_tracks, concatenated
from pipeline.tracking.motion import Floats

Method = Literal["linear", "gaussian"]

#: Score of a row that no detection stands behind; no detection has it.
UNSEEN = -1.0

#: λ of the Gaussian process, seconds.
_SCALE_S = 0.4
#: The part of a track's deviation from a straight line that is signal is at least this share of it.
_LEAST_SIGNAL = 0.05
#: The noise is at least this share of the signal, so that the equations can be solved.
_LEAST_NOISE = 1e-3
#: A track of more frames is smoothed in parts: the work grows with the square of the length.
_LONGEST = 4096


def interpolated(
    table: MotTable, fps: float, max_gap_s: float, method: Method = "linear"
) -> MotTable:
    """The tracks with their gaps filled, sorted by frame and id.

    Args:
        table: of a finished run; rows of the score `UNSEEN`, where there are others, are
            predictions of the tracker, and give way where a gap is filled.
        fps: frames per second, above 0.
        max_gap_s: longest time between two boxes of a track that is bridged, seconds.
        method: `linear` leaves the boxes that are there, `gaussian` smooths them too, separately
            on either side of a gap that is too long.

    Raises:
        DataError: a row has no identity, or one comes twice in a frame.
    """
    seen = check_tracks(table).scores != UNSEEN
    seen |= not seen.any()  # then the file does not say
    predicted, table = table.take(~seen), table.take(seen)
    table = table.take(np.lexsort((table.frames, table.ids)))
    steps = np.diff(table.frames, append=0)
    longest = max(1.0, max_gap_s * fps * (1 + 1e-9))  # as 0.3 s at 10 frames a second are three
    joined = (np.diff(table.ids, append=-1) == 0) & (steps <= longest)
    rows = np.repeat(np.arange(len(table)), np.where(joined, steps, 1))
    passed = np.arange(len(rows)) - rows.searchsorted(rows)  # frames since the row's own
    filled = _between(table, rows, passed)
    if method == "gaussian":
        ends = np.flatnonzero(~joined[rows]) + 1
        for start, end in zip([0, *ends], ends, strict=False):
            for at in range(start, end, _LONGEST):
                part = slice(at, min(at + _LONGEST, end))
                filled.boxes_xywh[part] = _smoothed(filled.boxes_xywh[part], passed[part] == 0, fps)
    return _merged(filled, predicted)


def _merged(table: MotTable, other: MotTable) -> MotTable:
    """The rows of both, sorted; where both know a track in a frame, that of `table`."""
    both = concatenated([table, other])
    order = np.lexsort((both.ids, both.frames))  # stable: what is in `table` comes first
    again = (np.diff(both.frames[order]) == 0) & (np.diff(both.ids[order]) == 0)
    return both.take(np.delete(order, np.flatnonzero(again) + 1))


def _between(table: MotTable, rows: NDArray[np.intp], passed: NDArray[np.intp]) -> MotTable:
    """The rows (M,), each `passed` (M,) frames later, on the straight way to the row after it."""
    after = np.minimum(rows + 1, len(table) - 1)
    share = passed / np.where(passed > 0, table.frames[after] - table.frames[rows], 1)
    boxes = table.boxes_xywh[rows]
    boxes += share[:, None] * (table.boxes_xywh[after] - boxes)
    return MotTable(
        table.frames[rows] + passed,
        table.ids[rows],
        boxes,
        np.where(passed > 0, UNSEEN, table.scores[rows]),
        table.classes[rows],
        table.source,
    )


def _smoothed(boxes_xywh: Floats, seen: NDArray[np.bool_], fps: float) -> Floats:
    """The Gaussian process through a track's boxes.

    Args:
        boxes_xywh: (N, 4), one a frame.
        seen: (N,) which of them were there before gaps were filled.
        fps: frames per second.

    Returns:
        (N, 4), no smaller than the smallest box.
    """
    corners, extents = boxes_xywh[:, :2], boxes_xywh[:, 2:]
    components = np.hstack([corners + extents / 2, extents]).T
    smooth = np.array([_posterior(values, seen, fps) for values in components]).T
    smooth[:, 2:] = np.maximum(smooth[:, 2:], extents.min(axis=0))
    smooth[:, :2] -= smooth[:, 2:] / 2
    return smooth


def _posterior(values: Floats, seen: NDArray[np.bool_], fps: float) -> Floats:
    """Mean of the process behind the values (N,) of one component.

    With covariance K and noise s of the values y this is K (K + s I)⁻¹ y = y - s (K + s I)⁻¹ y. Of
    a value each frame K is a Toeplitz matrix, whose equations take N² steps and no matrix.
    """
    times = np.arange(len(values)) / fps
    deviation = values - _line(times, values)
    spread = float(np.mean(deviation**2))
    variance = _noise(values, seen)
    signal = max(spread - variance, _LEAST_SIGNAL * spread, np.finfo(float).tiny)
    noise = max(variance / signal, _LEAST_NOISE)
    covariance = np.exp(-0.5 * (times / _SCALE_S) ** 2)
    covariance[0] += noise
    mean: Floats = values - noise * solve_toeplitz(covariance, deviation)
    return mean


def _line(times: Floats, values: Floats) -> Floats:
    """The straight line that fits the values (N,) best, at their times (N,)."""
    since = times - times.mean()
    slope = (since * values).sum() / max((since**2).sum(), np.finfo(float).tiny)
    line: Floats = values.mean() + slope * since
    return line


def _noise(values: Floats, seen: NDArray[np.bool_]) -> float:
    """Variance of the error of one value: a sixth of that of their second differences."""
    bends = np.diff(values, 2)[seen[:-2] & seen[1:-1] & seen[2:]]
    return float(np.mean(bends**2)) / 6 if len(bends) else 0.0
