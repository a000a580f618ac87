"""What analytics found in one frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

EventKind = Literal[
    "cross",  # a line, in a direction
    "enter",  # a zone
    "leave",  # a zone; value: how long it was there, s
    "loiter",  # in a zone for longer than is allowed; value: how long, s
    "crowd",  # a zone has as many as are too many; value: how many
    "calm",  # a crowd is none any more; value: how long it was one, s
    "wrong_way",  # against the direction that is wanted; value: angle between them, degrees
    "speeding",  # value: km/h
    "stop",  # stands still; value: since when, s
    "abandoned",  # stands still and whoever brought it is gone; value: since when, s
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        rule: that it was found by: its name in the configuration.
        kind: what happened.
        pts_ns: when, in the camera's time; it may lie between two frames.
        track: whose; 0 where it is about no single one.
        label: class of that track; -1 where there is none.
        at: where in the picture, source pixels.
        direction: of a crossing, as the rule names it; else empty.
        value: as `kind` says; NaN where it has none.
    """

    rule: str
    kind: EventKind
    pts_ns: int
    track: int
    label: int
    at: tuple[float, float]
    direction: str = ""
    value: float = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What is known of a frame beyond its tracks.

    Attributes:
        events: found in this frame, in order of time.
        tallies: by rule, what is counted since the camera's first frame (``in``, ``out``) or is so
            now (``inside``).
        speeds_kmh: (N,) float32, of the frame's N tracks over ground; NaN where not known. Empty
            where no homography was given.
    """

    events: tuple[Event, ...] = ()
    tallies: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    speeds_kmh: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
