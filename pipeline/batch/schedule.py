"""Which piece of which clip is looked at next, and which clip is followed next; nothing is started.

Clips are begun longest first, so that none that takes long is left to the end; the pieces of a clip
are looked at in order, so that its follower never waits long. A clip is begun only where few others
are unfinished: what was seen of those lies on the disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.batch.clip import Clip, Segment

#: So often a job whose process died is given to another one.
RETRIES = 2
#: Stands for a segment where a follower is meant, who has them all.
_ALL = -1


@dataclass(eq=False)
class _Course:
    """How far a clip is.

    Attributes:
        clip: that it is about.
        unseen: its segments that nobody looks at yet, in order.
        seen: numbers of those that are safe on the disk.
        followed: whether somebody follows it.
        deaths: of processes, by the segment they looked at.
    """

    clip: Clip
    unseen: list[Segment]
    seen: set[int]
    followed: bool = False
    deaths: dict[int, int] = field(default_factory=dict)


class Schedule:
    """What is left to do of a batch. Of clips that it does not know, nothing is heeded.

    Args:
        clips: that are not complete; each has a segment at least.
        seen: of clips, the numbers of segments that an earlier run has left whole on the disk.
        most: clips that may be unfinished at once.
    """

    def __init__(
        self, clips: Sequence[Clip], seen: Mapping[str, Collection[int]], most: int
    ) -> None:
        def urgency(clip: Clip) -> tuple[bool, int, str]:
            return not seen.get(clip.name), -(clip.duration_ns or 0), clip.name

        self._most = most
        self._waiting = deque(sorted(clips, key=urgency))
        self._seen = seen
        self._open: dict[str, _Course] = {}
        self._unseen_of_others = sum(self._left(clip) for clip in clips)
        self._begin()

    @property
    def over(self) -> bool:
        """Whether every clip is finished, or given up."""
        return not self._open

    @property
    def unseen(self) -> int:
        """Segments that nobody looks at yet."""
        opened = sum(len(course.unseen) for course in self._open.values())
        return opened + self._unseen_of_others

    def next_segment(self) -> tuple[Clip, Segment] | None:
        """The piece to look at next, taken; None where there is none, or not now."""
        for course in self._open.values():
            if course.unseen:
                return course.clip, course.unseen.pop(0)
        return None

    def next_clip(self) -> tuple[Clip, list[int]] | None:
        """The clip to follow next, taken, with its segments that were seen by now.

        None where there is none whose beginning was seen.
        """
        for course in self._open.values():
            if not course.followed and course.clip.segments[0].number in course.seen:
                course.followed = True
                return course.clip, sorted(course.seen)
        return None

    def was_seen(self, clip: str, segment: int) -> None:
        """A segment is safe on the disk."""
        if course := self._open.get(clip):
            course.seen.add(segment)

    def was_not_seen(self, clip: str, segment: int) -> None:
        """A segment was given to somebody who never came to look at it."""
        if course := self._open.get(clip):
            course.unseen += [s for s in course.clip.segments if s.number == segment]
            course.unseen.sort(key=lambda piece: piece.number)

    def seer_died(self, clip: str, segment: int) -> bool:
        """Whoever looked at a segment died; says whether somebody else is to try."""
        self.was_not_seen(clip, segment)
        return self._again(clip, segment)

    def follower_died(self, clip: str) -> bool:
        """Whoever followed a clip died; says whether somebody else is to try."""
        if course := self._open.get(clip):
            course.followed = False
        return self._again(clip, _ALL)

    def end(self, clip: str) -> None:
        """The clip is finished, or given up."""
        self._open.pop(clip, None)
        self._begin()

    def _begin(self) -> None:
        while self._waiting and len(self._open) < self._most:
            clip = self._waiting.popleft()
            self._unseen_of_others -= self._left(clip)
            seen = set(self._seen.get(clip.name, ()))
            unseen = [segment for segment in clip.segments if segment.number not in seen]
            self._open[clip.name] = _Course(clip, unseen, seen)

    def _left(self, clip: Clip) -> int:
        return len(clip.segments) - len(self._seen.get(clip.name, ()))

    def _again(self, clip: str, segment: int) -> bool:
        course = self._open.get(clip)
        if course is None:
            return True
        course.deaths[segment] = course.deaths.get(segment, 0) + 1
        return course.deaths[segment] <= RETRIES
