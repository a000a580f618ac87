"""How far a batch is: counted by the second of video, for frames may not be known beforehand."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.batch.clip import Clip, Segment
from pipeline.config import BatchRunConfig

#: Speeds are those of the last so many seconds.
_WINDOW_S = 20.0
#: Until a segment is finished, where only those are taken: from one key frame to the next, seconds.
_KEY_FRAME_S = 2.0
_UNKNOWN_FPS = 25.0


@dataclass(frozen=True, slots=True)
class ClipStanding:
    """How far a clip is that is worked on.

    Attributes:
        name: of the clip.
        seen: share of it that was looked at, 0..1.
        followed: share of it that was followed, 0..1.
        frames: looked at by now.
    """

    name: str
    seen: float
    followed: float
    frames: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a batch is.

    Attributes:
        wall_s: since the run began.
        clips: that this run is to make.
        complete: that it has completed.
        failed: that failed in it.
        share: of the work that is done, 0..1.
        frames: looked at in this run.
        video_s: seconds of video looked at in this run.
        dropped: frames of finished clips without a result.
        fps: frames looked at each second, of late.
        speed: seconds of video looked at each second, of late.
        eta_s: until all is done, at the pace so far; None where nobody knows.
        memory: bytes in use, by process.
        at_work: the clips that are begun and not finished, in that order.
    """

    wall_s: float
    clips: int
    complete: int
    failed: int
    share: float
    frames: int
    video_s: float
    dropped: int
    fps: float
    speed: float
    eta_s: float | None
    memory: Mapping[str, int]
    at_work: tuple[ClipStanding, ...]


class Observer:
    """Is told what a batch does; this one heeds nothing."""

    def note(self, text: str) -> None:
        """Something that people should know."""

    def probed(self, clip: Clip, done: int, of: int) -> None:
        """An input was probed, the `done`-th of so many."""

    def progress(self, standing: Standing) -> None:
        """It goes on; now and then."""

    def ended(self, clip: str, error: str) -> None:
        """A clip is complete, or failed with an error."""


def length_s(clip: Clip) -> float:
    """Seconds of what is taken of a clip; 0 where unknown."""
    return sum(_length_s(clip, segment) for segment in clip.segments)


def _length_s(clip: Clip, segment: Segment) -> float:
    end_ns = clip.duration_ns if segment.end_ns is None else segment.end_ns
    return 0.0 if end_ns is None else max(0, end_ns - segment.start_ns) / 1e9


class Course:
    """How far one clip is.

    Args:
        clip: that it is about.
        options: what is taken of it.

    Attributes:
        length_s: of what is taken of it; 0 where unknown.
    """

    def __init__(self, clip: Clip, options: BatchRunConfig) -> None:
        self._clip = clip
        self._lengths_s = {s.number: _length_s(clip, s) for s in clip.segments}
        self.length_s = sum(self._lengths_s.values())
        every_s = options.every / (clip.fps or _UNKNOWN_FPS)
        self._frame_s = _KEY_FRAME_S if options.key_frames else every_s  # until it is known
        self._finished_s = 0.0
        # Frames of finished segments, those that were told of, and those that were followed.
        self._finished = self._told = self._followed = 0

    @property
    def frames(self) -> int:
        """Looked at by now. Those of a segment may be told of before or after it is finished."""
        return max(self._finished, self._told)

    @property
    def seen_s(self) -> float:
        """Seconds of it that were looked at."""
        under_way = self.frames - self._finished
        return min(self.length_s, self._finished_s + under_way * self._frame_s)

    @property
    def followed_s(self) -> float:
        """Seconds of it that were followed."""
        return min(self.length_s, self._followed * self._frame_s)

    def looks(self, frames: int) -> None:
        """So many frames more were looked at."""
        self._told += frames

    def saw(self, segment: int, frames: int) -> None:
        """A segment of so many frames is finished."""
        self._finished += frames
        took_s = self._lengths_s[segment]
        self._finished_s += took_s
        if frames and took_s:
            self._frame_s = took_s / frames

    def was_seen(self, segment: int, frames: int) -> None:
        """The same, by an earlier run."""
        self.saw(segment, frames)
        self._told += frames

    def follows(self, frames: int) -> None:
        """So many frames more were followed."""
        self._followed += frames

    def begins_again(self) -> None:
        """It is followed from its beginning once more."""
        self._followed = 0

    def standing(self) -> ClipStanding:
        """For people."""
        whole_s = self.length_s or 1.0
        shares = self.seen_s / whole_s, self.followed_s / whole_s
        return ClipStanding(self._clip.name, *shares, self.frames)


class Progress:
    """How far all clips of a run are.

    Args:
        clips: that it is to make.
        options: what is taken of them.

    Attributes:
        at_work: how far those are that are not finished, by name.
        dropped: frames of finished clips without a result.
    """

    def __init__(self, clips: Iterable[Clip], options: BatchRunConfig) -> None:
        self.at_work = {clip.name: Course(clip, options) for clip in clips}
        self.dropped = 0
        self._clips = len(self.at_work)
        self._of_s = sum(course.length_s for course in self.at_work.values())
        self._complete = self._failed = self._frames = 0
        self._ended_s = 0.0
        self._begun: tuple[int, float, float] | None = None
        self._moments: deque[tuple[float, int, float]] = deque()

    def began(self) -> None:
        """From now on it is this run's own work; what was there was done by an earlier one."""
        self._begun = self._done()

    def ended(self, clip: str, error: str, dropped: int = 0) -> None:
        """A clip is complete, or failed."""
        course = self.at_work.pop(clip)
        self._frames += course.frames
        if error:
            self._of_s -= course.length_s
            self._failed += 1
        else:
            self._ended_s += course.length_s
            self._complete += 1
        self.dropped += dropped

    def standing(self, wall_s: float, memory: Mapping[str, int]) -> Standing:
        """How far it is after so long, seconds."""
        frames, seen_s, followed_s = self._done()
        frames_before, seen_before_s, followed_before_s = self._begun or (0, 0.0, 0.0)
        self._moments.append((wall_s, frames, seen_s))
        while wall_s - self._moments[0][0] > _WINDOW_S:
            self._moments.popleft()
        then_s, frames_then, seen_then_s = self._moments[0]
        late_s = max(wall_s - then_s, 1e-9)
        lefts = [
            _left_s(self._of_s - seen_s, seen_s - seen_before_s, wall_s),
            _left_s(self._of_s - followed_s, followed_s - followed_before_s, wall_s),
        ]
        known = [left_s for left_s in lefts if left_s is not None]
        courses = [course.standing() for course in self.at_work.values()]
        return Standing(
            wall_s,
            self._clips,
            self._complete,
            self._failed,
            (seen_s + followed_s) / (2 * self._of_s) if self._of_s else 0.0,
            frames - frames_before,
            seen_s - seen_before_s,
            self.dropped,
            (frames - frames_then) / late_s,
            (seen_s - seen_then_s) / late_s,
            max(known, default=None),
            memory,
            tuple(standing for standing in courses if standing.frames),
        )

    def _done(self) -> tuple[int, float, float]:
        """Frames looked at, seconds looked at, seconds followed; of all clips."""
        courses = self.at_work.values()
        return (
            self._frames + sum(course.frames for course in courses),
            self._ended_s + sum(course.seen_s for course in courses),
            self._ended_s + sum(course.followed_s for course in courses),
        )


def _left_s(left_s: float, done_s: float, wall_s: float) -> float | None:
    """How long the rest takes at the pace so far; None where nothing was done yet."""
    return left_s * wall_s / done_s if done_s > 0 else None
