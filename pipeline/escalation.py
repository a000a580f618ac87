"""How far to go against overload: from dropping to coasting to sparing ReID, and back.

Pure state, the time is passed in. What it goes by are the frames that had to be dropped at the
entrance, which is what overload means; see docs/overload.md.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

_log = logging.getLogger(__name__)

#: Overload lasts as long as frames are dropped with less than this between them.
_APART_NS = 1_000_000_000
#: A step is given this long to help before the next one is taken.
_TRIAL_NS = 500_000_000
#: So large a share of the frames must be dropped: a few are not worth coasting for.
_WORTH = 0.05
#: Without a drop for so long, a step is taken back; doubled each time that proves too early.
_HOLD_NS, _MOST_HOLD_NS = 1_000_000_000, 32_000_000_000
#: Changes that are remembered.
_KEPT = 100


class Level(StrEnum):
    """What is done against overload; each level does all that those before it do."""

    NORMAL = "normal"
    DROPPING = "dropping"  # at the entrance
    COASTING = "coasting"  # most frames are not detected, their tracks are predicted
    NO_REID = "no_reid"  # nobody looks at objects' appearance


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the ladder.

    Attributes:
        level: for people.
        interval: every so many frames of a camera one is detected.
        reid: whether objects' appearance is looked at.
    """

    level: Level
    interval: int = 1
    reid: bool = True

    def __str__(self) -> str:
        thinned = f" (1 of {self.interval} frames detected)" if self.interval > 1 else ""
        return f"{self.level.value}{thinned}"


STEPS = (
    Step(Level.NORMAL),
    Step(Level.DROPPING),
    Step(Level.COASTING, 2),
    Step(Level.COASTING, 3),
    Step(Level.COASTING, 4),
    Step(Level.NO_REID, 4, reid=False),
)


@dataclass(frozen=True, slots=True)
class Transition:
    """From one step to the next.

    Attributes:
        at_s: seconds since the run began.
        level: from then on.
        interval: from then on.
        why: in a few words.
    """

    at_s: float
    level: Level
    interval: int
    why: str


class Escalation:
    """Takes the steps one after the other while overload lasts, and takes them back.

    Args:
        now_ns: monotonic clock at the beginning.
    """

    def __init__(self, now_ns: int) -> None:
        self._index = 0
        self._began_ns = self._changed_ns = self._trial_ns = self._dropped_ns = now_ns
        self._eased_ns: int | None = None  # a step was taken back then, and not yet regretted
        self._hold_ns = _HOLD_NS
        self._came = self._dropped = 0  # in this trial
        self._spent_ns: Counter[Level] = Counter()
        self._transitions: deque[Transition] = deque(maxlen=_KEPT)

    @property
    def step(self) -> Step:
        """What is done now."""
        return STEPS[self._index]

    @property
    def transitions(self) -> Sequence[Transition]:
        """The last changes, first one first."""
        return tuple(self._transitions)

    def seconds(self, now_ns: int) -> Mapping[str, float]:
        """How long each level has lasted, all its times together."""
        spent = self._spent_ns + Counter({self.step.level: now_ns - self._changed_ns})
        return {level.value: spent[level] / 1e9 for level in Level}

    def came(self, frames: int, dropped: int, now_ns: int) -> None:
        """So many frames of a camera came to the entrance, and so many of them had to go."""
        self.look(now_ns)
        if dropped:
            if now_ns - self._dropped_ns > _APART_NS:
                self._try_from(now_ns)
            self._dropped_ns = now_ns
        self._dropped += dropped
        self._came += frames
        if dropped and self._more_is_needed(now_ns):
            took_s = (now_ns - self._trial_ns) / 1e9
            why = f"{self._dropped} of {self._came} frames were dropped in {took_s:.1f} s"
            self._judge_the_hold(now_ns)
            self._go(1, now_ns, why)

    def look(self, now_ns: int) -> None:
        """Takes back what is not needed any more."""
        while self._index:
            calm_ns = max(self._dropped_ns, self._changed_ns) + self._hold_ns
            if now_ns < calm_ns:
                return
            self._eased_ns = calm_ns
            self._go(-1, calm_ns, f"none was dropped for {self._hold_ns / 1e9:g} s")

    def _more_is_needed(self, now_ns: int) -> bool:
        if self._index == 0:
            return True
        tried = now_ns - self._trial_ns >= _TRIAL_NS
        return tried and self._dropped > _WORTH * self._came and self._index < len(STEPS) - 1

    def _judge_the_hold(self, now_ns: int) -> None:
        """Waits longer next time where a step was taken back too early."""
        if self._eased_ns is None:
            return
        regretted = now_ns - self._eased_ns < 2 * self._hold_ns
        self._hold_ns = min(2 * self._hold_ns, _MOST_HOLD_NS) if regretted else _HOLD_NS
        self._eased_ns = None

    def _go(self, steps: int, now_ns: int, why: str) -> None:
        self._spent_ns[self.step.level] += now_ns - self._changed_ns
        self._index += steps
        self._changed_ns = now_ns
        self._try_from(now_ns)
        step, at_s = self.step, (now_ns - self._began_ns) / 1e9
        self._transitions.append(Transition(at_s, step.level, step.interval, why))
        extra = {"level": step.level.value, "interval": step.interval}
        urgency = logging.WARNING if steps > 0 else logging.INFO
        _log.log(urgency, "overload: %s, for %s", step, why, extra=extra)

    def _try_from(self, now_ns: int) -> None:
        self._trial_ns = now_ns
        self._came = self._dropped = 0
