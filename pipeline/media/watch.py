"""Notices that a camera's pictures stopped coming, or changing. Time is told by the caller."""

from __future__ import annotations

import zlib
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from pipeline.media.timeline import NS_PER_S

# A camera is looked after about ten times a second; told so much earlier, a stall is told in time.
_MARGIN_NS = NS_PER_S // 5
# An encoder that is given the same picture again and again makes a few that differ slightly of it:
# one more a group of pictures, until its rate control has settled.
_REMEMBERED = 16
_ROW_STEP = 8


class StallWatch:
    """Tells within `stall_s` that no picture came, and again after every further `stall_s`.

    Args:
        stall_s: longest silence that is not told.
    """

    def __init__(self, stall_s: float) -> None:
        limit_ns = round(stall_s * NS_PER_S)
        self._limit_ns = max(limit_ns // 2, limit_ns - _MARGIN_NS)
        self._heard_ns: int | None = None
        self._told_ns = 0

    def heard(self, now_ns: int) -> None:
        """A picture came."""
        self._heard_ns = self._told_ns = now_ns

    def overdue_s(self, now_ns: int) -> float:
        """How long no picture has come, when that is to be told now; else 0."""
        if self._heard_ns is None or now_ns - self._told_ns < self._limit_ns:
            return 0.0
        self._told_ns = now_ns
        return (now_ns - self._heard_ns) / NS_PER_S


class FreezeWatch:
    """Tells that nothing new is to be seen, though pictures come.

    A real scene is never twice the same: the sensor's noise changes some level of luma in the key
    pictures at least, however still the scene and however hard it is compressed. So only exact
    repetition counts: no picture that differs from each of the last few for `freeze_s`. What this
    cannot see is a stuck sensor behind an encoder that goes on refining the picture (constant bit
    rate), or that draws a running clock into it. What it takes for frozen is a picture without any
    noise: a black one, or a drawn one.

    Args:
        freeze_s: shortest repetition that is told; longer than a group of pictures; 0: none is.
    """

    def __init__(self, freeze_s: float) -> None:
        self._limit_ns = round(freeze_s * NS_PER_S)
        self._known: OrderedDict[int, None] = OrderedDict()
        self._new_ns = self._seen_ns = 0

    def frozen(self, gray: NDArray[np.uint8], now_ns: int) -> bool:
        """Whether the camera is frozen, now that this picture came; silence does not count.

        Args:
            gray: the picture's luma (height, width) uint8; every eighth row is looked at.
            now_ns: when it came.
        """
        if not self._limit_ns:
            return False
        print_ = zlib.crc32(np.ascontiguousarray(gray[::_ROW_STEP]).data)
        silent_ns, self._seen_ns = now_ns - self._seen_ns, now_ns
        if print_ not in self._known or silent_ns > self._limit_ns // 2:
            self._new_ns = now_ns
        self._known[print_] = None
        self._known.move_to_end(print_)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return now_ns - self._new_ns >= self._limit_ns
