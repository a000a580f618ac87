"""Where `sightline tune` looks: which keys of a tracker it changes, and between which values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import exp, log
from typing import Any

import numpy as np

from pipeline.config.problem import suggest
from pipeline.errors import ConfigError
from pipeline.tracking.spec import TrackSpec

#: A value for each key that is changed, keys as in ``--set``.
Point = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Range:
    """The values of one key.

    Attributes:
        low: the least.
        high: the largest.
        step: values are multiples of it, beginning at `low`.
        by_ratio: whether twice as much is as far anywhere; for times.
    """

    low: float
    high: float
    step: float = 0.01
    by_ratio: bool = False

    def moved(self, value: float, by: float) -> float:
        """The value moved by a share of the range (may be negative), inside of it."""
        if self.by_ratio:
            moved = exp(log(max(value, self.low)) + by * log(self.high / self.low))
        else:
            moved = value + by * (self.high - self.low)
        steps = round((min(max(moved, self.low), self.high) - self.low) / self.step)
        found = round(self.low + steps * self.step, 6)
        return int(found) if self.step == 1 else found


_SHARE = Range(0.0, 1.0)
_GATE = Range(0.05, 0.95)

#: Inside the limits that `TrackSpec` and `RoundSpec` set, and where a tracker still makes sense.
#: Keys of rounds are those of each round by boxes. A key that is 0, though its range begins above,
#: is left alone: it switches something off.
RANGES: Mapping[str, Range] = {
    "high_score": Range(0.0, 0.95),
    "low_score": Range(0.0, 0.95),
    "new_score": Range(0.0, 0.95),
    "max_lost_s": Range(0.2, 10.0, 0.1, by_ratio=True),
    "lost_per_age": Range(0.1, 5.0, by_ratio=True),
    "tentative_lost_s": Range(0.0, 1.0, 0.05),
    "min_hits": Range(1, 8, 1),
    "evidence": Range(1.0, 15.0, 0.1),
    "rivalry": Range(0.1, 10.0, 0.1),
    "extrapolate_s": Range(0.05, 2.0, 0.05),
    "extrapolate_score": _SHARE,
    "measured_share": _SHARE,
    "measured_share_down": _SHARE,
    "screening.min_score": Range(0.0, 0.9),
    "rounds.*.at_least": _GATE,
    "rounds.*.newcomers": _GATE,
    "rounds.*.foot": Range(0.1, 3.0, 0.1),
    "rounds.*.grow": _GATE,
    "rounds.*.momentum": _GATE,
}


def ranges_of(spec: TrackSpec, keys: Sequence[str] = ()) -> dict[str, Range]:
    """The keys of this tracker that can be changed, with their values.

    Args:
        spec: the tracker.
        keys: those that are wanted; all if empty.

    Raises:
        ConfigError: a key is not among them; the nearest is suggested.
    """
    rounds = [name for name in spec.association if spec.rounds[name].similarity != "cosine"]
    known = {
        key.replace("*", name): found
        for key, found in RANGES.items()
        for name in (rounds if "*" in key else [""])
        if found.low <= 0 or value_of(spec, key.replace("*", name)) > 0
    }
    for key in keys:
        if key not in known:
            raise ConfigError(f"--keys: {key} is not tuned; {suggest(key, known)}")
    chosen = {key: known[key] for key in keys or known}
    if "low_score" not in chosen and "high_score" in chosen:
        chosen["high_score"] = replace(chosen["high_score"], low=spec.low_score)
    if "high_score" not in chosen and "low_score" in chosen:
        chosen["low_score"] = replace(chosen["low_score"], high=spec.high_score)
    return chosen


def value_of(spec: TrackSpec, key: str) -> Any:
    """What a tracker has for a key written as in ``--set``."""
    return reduce(_part, key.split("."), spec)


def _part(whole: Any, name: str) -> Any:
    return whole[name] if isinstance(whole, Mapping) else getattr(whole, name)


def moved(point: Point, ranges: Mapping[str, Range], width: float, seed: Sequence[int]) -> Point:
    """A neighbour: two keys of the point moved by normal steps.

    Args:
        point: a value for each of the ranges.
        ranges: of the keys.
        width: standard deviation of a step, as a share of its key's range.
        seed: neighbours of equal seeds differ from their points alike.
    """
    random = np.random.default_rng(seed)
    keys = random.choice([*ranges], size=min(2, len(ranges)), replace=False).tolist()
    steps = random.normal(0, width, len(keys)).tolist()
    new = {key: ranges[key].moved(point[key], by) for key, by in zip(keys, steps, strict=True)}
    found = {**point, **new}
    if {"low_score", "high_score"} <= found.keys():
        found["low_score"] = min(found["low_score"], found["high_score"])
    return found
