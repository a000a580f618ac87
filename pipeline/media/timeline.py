"""From a container's time stamps to integer nanoseconds: the only place where that happens."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

NS_PER_S = 1_000_000_000


class TimeLine:
    """Strictly increasing nanoseconds since the first frame, whatever the container says.

    Time stamps are converted by exact rational arithmetic, so that an hour of 30000/1001 fps does
    not drift. What cannot be taken as it is, is repaired and counted in `faults`:

    - ``pts_missing``: one frame interval after the last frame.
      (A container such as AVI has decoding times only. These come in the order of the frames too,
      so they are taken instead if the first frame has no presentation time; those that the
      decoder holds back at the end have none, which is no fault.)
    - ``pts_repeated``: not later than the last frame, but by less than a second: half an interval
      after it, so that the time line can catch up again.
    - ``pts_restarted``: back by a second or more. The clock behind it was set anew: it is anchored
      one interval after the last frame and `epoch` increases.

    Args:
        time_base: seconds per unit of the container's time stamps.
        interval_ns: nominal time between two frames.
        faults: counts what was repaired.
        origin: time stamp that becomes 0; None: the first one that comes.

    Attributes:
        origin: likewise; None before the first time stamp.
        epoch: increases when the line is anchored anew.
    """

    def __init__(
        self,
        time_base: Fraction,
        interval_ns: int,
        faults: Counter[str],
        origin: int | None = None,
    ) -> None:
        self._unit_ns = time_base * NS_PER_S
        self._interval_ns = interval_ns
        self._faults = faults
        self.origin = origin
        self._shift_ns = 0
        self._last_ns: int | None = None
        self._decoding_times: bool | None = None
        self.epoch = 0

    def place(self, pts: int | None, dts: int | None = None, steps: int = 1) -> int:
        """The presentation time of the next frame in nanoseconds.

        Args:
            pts: its presentation time in units of the time base, None where it has none.
            dts: the decoding time of the packet upon which the decoder gave it, likewise.
            steps: more than 1 where frames between the last one and this one were left out.
        """
        if self._decoding_times is None:
            self._decoding_times = pts is None and dts is not None
        self._last_ns = self._next(dts if self._decoding_times else pts, steps * self._interval_ns)
        return self._last_ns

    def _next(self, pts: int | None, gap_ns: int) -> int:
        last_ns = self._last_ns
        if pts is None:
            if not self._decoding_times:
                self._faults["pts_missing"] += 1
            return 0 if last_ns is None else last_ns + gap_ns
        if self.origin is None:
            self.origin = pts
            # Frames without a time stamp may have come before.
            self._shift_ns = 0 if last_ns is None else last_ns + gap_ns
        raw_ns = round((pts - self.origin) * self._unit_ns)
        pts_ns = raw_ns + self._shift_ns
        if last_ns is None or pts_ns > last_ns:
            return pts_ns
        if last_ns - pts_ns < NS_PER_S:
            self._faults["pts_repeated"] += 1
            return last_ns + max(1, self._interval_ns // 2)
        self._faults["pts_restarted"] += 1
        self.epoch += 1
        self._shift_ns = last_ns + gap_ns - raw_ns
        return last_ns + gap_ns
