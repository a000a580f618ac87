"""Which frames of a source are taken. Decided by time stamps, so the same file, the same frames."""

from __future__ import annotations


class FrameSampler:
    """Takes every n-th frame, and of those not more than `max_fps`.

    A frame that is early by less than a quarter of the interval is taken: time stamps are rounded
    and cameras jitter, and a 30 fps camera limited to 30 should lose nothing.

    Args:
        max_fps: upper limit in frames per second; None: no limit.
        every: 1 takes all frames, 2 every second one, ….

    Raises:
        ValueError: `max_fps` is not positive, or `every` is less than 1.
    """

    def __init__(self, max_fps: float | None = None, every: int = 1) -> None:
        if max_fps is not None and not max_fps > 0:
            raise ValueError(f"expected max_fps > 0, got {max_fps}")
        if every < 1:
            raise ValueError(f"expected every ≥ 1, got {every}")
        self._interval_ns = 0 if max_fps is None else round(1_000_000_000 / max_fps)
        self._every = every
        self._due_ns: int | None = None

    def take(self, index: int, pts_ns: int) -> bool:
        """Says whether to take this frame.

        Args:
            index: the frame's place in its source, from 0.
            pts_ns: its presentation time in nanoseconds; strictly increasing from call to call.
        """
        if index % self._every:
            return False
        if not self._interval_ns:
            return True
        due_ns = pts_ns if self._due_ns is None else self._due_ns
        if pts_ns < due_ns - self._interval_ns // 4:
            return False
        # After a gap the due time starts again from this frame: no burst makes up for it.
        late = pts_ns - due_ns >= self._interval_ns
        self._due_ns = (pts_ns if late else due_ns) + self._interval_ns
        return True
