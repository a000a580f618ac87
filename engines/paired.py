"""Which of two programs is faster here, and how sure that is.

Both run in turn, a few forwards each, so that whatever else the machine does hits both alike. What
counts is the ratio of each pair of turns; its median comes with a confidence interval that assumes
nothing about how times are distributed (Le Boudec, "Performance Evaluation of Computer and
Communication Systems", 2010, theorem 2.1).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.measure import Subject, forward_of, ready

#: A turn is at least so long, seconds, and there are at least so many of each.
_TURN_S, _TURNS = 0.02, 15
#: Of the standard normal distribution, for an interval of 99 %: load comes in bursts, so that turns
#: tell less than as many independent values would.
_DEVIATIONS = 2.576


@dataclass(frozen=True, slots=True)
class Pair:
    """Two programs side by side.

    Attributes:
        before_ms: median time of one forward of the first.
        after_ms: of the second.
        speedup: median of the first's time over the second's: above 1 where the second is faster.
        low: lower end of its 99 % confidence interval.
        high: upper end.
        turns: pairs that were compared.
    """

    before_ms: float
    after_ms: float
    speedup: float
    low: float
    high: float
    turns: int


def pair(
    before: Subject, after: Subject, inputs: dict[str, NDArray[Any]], seconds: float = 2.0
) -> Pair:
    """Measures both in this process, one thread each unless their options say otherwise.

    Args:
        before: what is compared with.
        after: what is compared.
        inputs: of one forward of either, by name; only read.
        seconds: of each.

    Raises:
        EngineError: a backend cannot run its program.
    """
    with ExitStack() as stack:
        forwards = []
        for subject in (before, after):
            engine = ready(subject)
            stack.callback(engine.destroy)
            forwards.append(forward_of(engine, inputs))
        counts = [ceil(_TURN_S / _turn(forward, 3)) for forward in forwards]
        turns = list[tuple[float, float]]()
        end = time.perf_counter() + 2 * seconds
        while len(turns) < _TURNS or time.perf_counter() < end:
            first, second = (_turn(*one) for one in zip(forwards, counts, strict=True))
            turns.append((first, second))
    return summed(turns)


def _turn(forward: Callable[[], None], count: int) -> float:
    """Mean time of so many forwards, seconds."""
    started = time.perf_counter()
    for _ in range(count):
        forward()
    return (time.perf_counter() - started) / count


def summed(turns: Sequence[tuple[float, float]]) -> Pair:
    """Sums up turns: the time of one forward of each program, seconds."""
    before, after = np.array(turns).T
    ratios = np.sort(before / after)
    middle, reach = len(ratios) / 2, _DEVIATIONS / 2 * sqrt(len(ratios))
    low, high = floor(middle - reach), ceil(middle + reach) + 1  # ranks, from 1
    return Pair(
        float(np.median(before)) * 1e3,
        float(np.median(after)) * 1e3,
        float(np.median(ratios)),
        float(ratios[max(low, 1) - 1]),
        float(ratios[min(high, len(ratios)) - 1]),
        len(turns),
    )
