"""Where a video is cut into pieces that can be looked at apart; pure, but for trying the cuts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.batch.clip import Segment
from pipeline.media.place import NO_TIME, Packets, Place
from pipeline.media.steady import Steady
from pipeline.media.timeline import NS_PER_S

# A decoder puts 16 frames in order at most (H.264, H.265); twice that is said to be no order.
_REORDERED = 32
# After so many key frames in a row at which decoding cannot begin, no more are tried.
_TRIES = 3

_NO_TIMES = "its frames have no time stamps"
_NO_KEYS = "it has no key frame where it could be cut"
_UNSOUND = "decoding cannot begin at its key frames"

Sound = Callable[[Place], bool]


@dataclass(frozen=True, slots=True)
class Window:
    """What is wanted of a video.

    Attributes:
        segment_ns: about how long its pieces are.
        start_ns: first moment, since its first frame.
        end_ns: first moment that is not wanted any more; None: to the end.
        key_frames: nothing but key frames.
    """

    segment_ns: int
    start_ns: int = 0
    end_ns: int | None = None
    key_frames: bool = False


class Timetable:
    """When the frames of a video are shown, and where decoding may begin.

    Args:
        packets: of the video.
        origin: time stamp of the first frame that could be decoded; None where it has none.
        first: that frame's place, as the source says.

    Attributes:
        fault: why the packets do not tell in which order frames are shown; empty where they do.
        frames: how many there are, from the first one that could be decoded on.
    """

    def __init__(self, packets: Packets, origin: int | None, first: int = 0) -> None:
        packets = _timed(packets, origin)
        self._packets = packets
        self._origin = origin or 0
        self._unit_ns = packets.time_base * NS_PER_S
        self._shown = np.sort(packets.pts[packets.shown])
        self._keys = np.sort(packets.pts[packets.shown & packets.key])
        # Frames before the first one that could be decoded: they are not counted, or they are.
        self._lost = int(np.searchsorted(self._shown, self._origin)) - first
        self.fault = _fault(packets) if origin is not None else _NO_TIMES
        self.frames = len(self._shown) if self.fault else self.count(0, None)

    @property
    def end_ns(self) -> int:
        """When the last frame is shown; only where there is no `fault`."""
        return self.time_ns(int(self._shown[-1]))

    def time_ns(self, pts: int) -> int:
        """When it is shown, since the first frame; as `TimeLine` says it."""
        return round((pts - self._origin) * self._unit_ns)

    def count(self, start_ns: int, end_ns: int | None, key_frames: bool = False) -> int:
        """How many frames, or key frames, are shown from a moment on until another."""
        stamps = self._keys if key_frames else self._shown
        last = len(stamps) if end_ns is None else self._first_from(stamps, end_ns)
        return last - self._first_from(stamps, max(start_ns, 0))

    def places(self) -> list[Place]:
        """The key frames before which all is shown that comes before them in the file."""
        pts, dts = self._packets.pts, self._packets.dts
        latest = np.maximum.accumulate(pts)
        begins = self._packets.key & self._packets.shown
        begins[1:] &= pts[1:] > latest[:-1]
        return [
            Place(
                number,
                int(np.searchsorted(self._shown, pts[number])) - self._lost,
                int(pts[number]),
                self._origin,
                int(dts[number] if dts[number] != NO_TIME else pts[number]),
            )
            for number in np.flatnonzero(begins).tolist()
        ]

    def _first_from(self, stamps: NDArray[np.int64], moment_ns: int) -> int:
        return bisect_left(stamps, moment_ns, key=lambda pts: self.time_ns(int(pts)))


def _timed(packets: Packets, origin: int | None) -> Packets:
    """With decoding times for presentation times where they are the same.

    So it is in an AVI file whose decoder gives the first frame upon the first packet, since then
    no frame waits for another one.
    """
    steps = np.diff(packets.dts)
    same = np.all(packets.pts == NO_TIME) and np.all(steps == 1) and origin == packets.dts[0]
    return replace(packets, pts=packets.dts) if same else packets


def _fault(packets: Packets) -> str:
    pts = packets.pts[packets.shown]
    if np.any(pts == NO_TIME):
        return _NO_TIMES
    order = np.argsort(pts, kind="stable")
    if np.any(np.diff(pts[order]) == 0):
        return "some of its frames have the same time stamp"
    if np.any(np.abs(order - np.arange(len(order))) > _REORDERED):
        return "its time stamps begin anew in the middle"
    return ""


def divide(table: Timetable, window: Window, sound: Sound) -> tuple[tuple[Segment, ...], str]:
    """Cuts a video at key frames, so that every wanted frame is in exactly one piece.

    A cut is a moment: the frames shown from it on are in the later piece. It depends on the video
    and the window alone. A piece is as long as the window says, up to the next key frame; one that
    would be less than half as long at the end stays with the piece before it.

    Args:
        table: the video's.
        window: what is wanted.
        sound: tries whether decoding may begin there.

    Returns:
        The pieces, at least one, in order; and why there is only one where there should be more,
        for people.
    """
    if table.fault:
        whole = not window.start_ns and window.end_ns is None
        frames = table.frames if whole and not window.key_frames else None
        return (Segment(0, window.start_ns, window.end_ns, frames),), table.fault
    begins, reason = _begins(table, window, sound)
    ends = [*(start_ns for start_ns, _ in begins[1:]), window.end_ns]
    segments: list[Segment] = []
    for (start_ns, place), end_ns in zip(begins, ends, strict=True):
        frames = table.count(start_ns, end_ns, window.key_frames)
        if frames or len(begins) == 1:
            segments.append(Segment(len(segments), start_ns, end_ns, frames, place))
    return tuple(segments), reason


def divide_steady(frames: int, fps: float, window: Window) -> tuple[Segment, ...]:
    """Cuts what can be entered at any frame: images, and the rendered street.

    Args:
        frames: how many there are.
        fps: at which they are shown.
        window: what is wanted; all are key frames.

    Returns:
        The pieces in order; none where no frame is wanted.
    """
    steady = Steady(fps)
    first = steady.first_from(window.start_ns)
    end = frames if window.end_ns is None else min(frames, steady.first_from(window.end_ns))
    step = max(1, steady.first_from(window.segment_ns))
    cuts = list(range(first + step, end - step // 2, step))
    starts = [window.start_ns, *map(steady.pts_ns, cuts)]
    ends = [*starts[1:], window.end_ns]
    counts = [later - before for before, later in pairwise([first, *cuts, end])]
    if first >= end:
        return ()
    return tuple(map(Segment, range(len(starts)), starts, ends, counts))


def _begins(
    table: Timetable, window: Window, sound: Sound
) -> tuple[list[tuple[int, Place | None]], str]:
    """When each piece begins and where its decoding does; and why there is only one."""
    places = table.places()
    before = [place for place in places if table.time_ns(place.pts) <= window.start_ns]
    # From the beginning on there is nothing to be left out.
    tried = islice(reversed(before), _TRIES if window.start_ns else 0)
    begins = [(window.start_ns, next((place for place in tried if sound(place)), None))]
    end_ns = table.end_ns if window.end_ns is None else min(window.end_ns, table.end_ns)
    refused = 0
    for place in places[len(before) :]:
        start_ns = table.time_ns(place.pts)
        due = start_ns - begins[-1][0] >= window.segment_ns
        if due and end_ns - start_ns >= window.segment_ns // 2 and refused < _TRIES:
            fits = sound(place)
            refused = 0 if fits else refused + 1
            begins += [(start_ns, place)] * fits
    if len(begins) > 1 or end_ns - window.start_ns < window.segment_ns * 3 // 2:
        return begins, ""
    return begins, _UNSOUND if refused else _NO_KEYS
