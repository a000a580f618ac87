"""The time line of a camera: its own clock, held to the clock of this machine."""

from __future__ import annotations

from collections import Counter

from pipeline.media.timeline import NS_PER_S

# A camera cannot send what it has not seen yet; so far ahead only a clock that was set can be.
_AHEAD_NS = 2 * NS_PER_S
# So far behind are a backlog that does not go away, or a clock that was set back a little.
_BEHIND_NS = 5 * NS_PER_S
# Jitter of the network; within it the camera's clock is taken as it is.
_SLACK_NS = NS_PER_S // 10
# One part in a hundred: above any crystal's error, below what a motion model notices.
_SLEW = 100


class LiveTimeLine:
    """Strictly increasing nanoseconds since the first frame, never far from the time of arrival.

    Within an epoch frames keep the distances that the camera's clock gives them. What that clock
    says is compared with the time that really passed here (both since the epoch's first frame):

    - up to 0.1 s apart: jitter, nothing is changed;
    - more: the line is bent towards the arrival by 1 % of the time between two frames at most, so
      that a clock that runs fast or slow is followed without a jump;
    - back by a second or more (``pts_restarted``), more than 2 s ahead (``pts_jumped``) or more
      than 5 s behind (``pts_late``): the frame is anchored at its arrival, `epoch` increases.

    So a frame's time is never more than 2 s ahead of and 5 s behind its arrival. Further repairs,
    counted in `faults` likewise:

    - ``pts_missing``: no time stamp; it is placed at its arrival.
    - ``pts_repeated``: the same stamp again, or less than a second back; likewise, and the line
      goes on from there.
    - ``late``: the frame lies before a moment that was told as stalled already; it is left out.

    Args:
        faults: counts what was repaired.
    """

    def __init__(self, faults: Counter[str]) -> None:
        self._faults = faults
        self._first_ns: int | None = None  # arrival of the first frame of all
        self._last_ns = -1
        self._stalled_ns = -1  # the last moment that was told as stalled
        self._stamp_ns: int | None = None  # of the last frame; None: to be anchored
        self._shift_ns = 0  # from stamps to this line
        self.epoch = 0

    def anew(self) -> None:
        """What comes next has nothing to do with what came: anchored at its arrival, next epoch."""
        if self._first_ns is not None:
            self._stamp_ns = None

    def place(self, stamp_ns: int | None, arrived_ns: int) -> int | None:
        """The presentation time of the next frame in nanoseconds; None: leave it out.

        Args:
            stamp_ns: by the camera's clock, since any moment; None where it has none.
            arrived_ns: monotonic clock of this machine.
        """
        begins = self._first_ns is None
        elapsed_ns = self._elapsed(arrived_ns)
        if stamp_ns is None:
            self._faults["pts_missing"] += 1
            return self._put(elapsed_ns)
        if self._stamp_ns is None:
            self.epoch += not begins
            return self._anchor(stamp_ns, elapsed_ns)
        step_ns, self._stamp_ns = stamp_ns - self._stamp_ns, stamp_ns
        ahead_ns = stamp_ns + self._shift_ns - elapsed_ns
        if fault := _jump(step_ns, ahead_ns):
            self._faults[fault] += 1
            self.epoch += 1
            return self._anchor(stamp_ns, elapsed_ns)
        if step_ns <= 0:
            self._faults["pts_repeated"] += 1
            self._shift_ns = max(self._last_ns + 1, elapsed_ns) - stamp_ns
        else:
            self._shift_ns -= _correction(ahead_ns, step_ns)
        return self._put(stamp_ns + self._shift_ns)

    def stalled(self, now_ns: int) -> int:
        """The presentation time of a moment without a picture."""
        self._last_ns = self._stalled_ns = max(self._last_ns + 1, self._elapsed(now_ns))
        return self._last_ns

    def _elapsed(self, now_ns: int) -> int:
        if self._first_ns is None:
            self._first_ns = now_ns
        return now_ns - self._first_ns

    def _anchor(self, stamp_ns: int, elapsed_ns: int) -> int:
        self._last_ns = max(self._last_ns + 1, elapsed_ns)
        self._stamp_ns, self._shift_ns = stamp_ns, self._last_ns - stamp_ns
        return self._last_ns

    def _put(self, pts_ns: int) -> int | None:
        if pts_ns <= self._stalled_ns:
            self._faults["late"] += 1
            return None
        self._last_ns = max(self._last_ns + 1, pts_ns)
        return self._last_ns


def _jump(step_ns: int, ahead_ns: int) -> str:
    """The fault where a stamp cannot be what the clock says; empty where it can."""
    if step_ns <= -NS_PER_S:
        return "pts_restarted"
    if ahead_ns > _AHEAD_NS:
        return "pts_jumped"
    return "pts_late" if ahead_ns < -_BEHIND_NS else ""


def _correction(ahead_ns: int, step_ns: int) -> int:
    if abs(ahead_ns) <= _SLACK_NS:
        return 0
    limit_ns = step_ns // _SLEW
    return max(-limit_ns, min(limit_ns, ahead_ns))
