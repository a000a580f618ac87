"""A batch at work: who does what next, what becomes of the results, and of who dies."""

from __future__ import annotations

import errno
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pipeline.batch.clip import Clip
from pipeline.batch.fingerprint import sha256_of
from pipeline.batch.folder import BatchFolder
from pipeline.batch.job import Answer, Followed, FollowJob, SeeJob, Seen, Under
from pipeline.batch.manifest import manifest
from pipeline.batch.progress import Observer, Progress
from pipeline.batch.schedule import RETRIES, Schedule
from pipeline.batch.seen import SeenSegment, finished
from pipeline.batch.staff import Seat, Staff
from pipeline.config import BatchRunConfig
from pipeline.errors import BatchError, DataError
from pipeline.output.room import is_full

#: How often it is told how far everything is, and looked whether to stop, seconds.
_TICK_S = 0.25
#: Unfinished clips for each process: those that are followed, and those looked at meanwhile.
_OPEN = 3
#: So many processes in a row that died before any job was done: it is not the clips' fault.
_HOPELESS = 3 * (RETRIES + 1)
_FULL = (*(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT)), "disk is full")
#: Why a batch ended early where somebody asked for it.
INTERRUPTED = "interrupted"


class Halt:
    """How a batch is asked to end early; from any thread.

    Attributes:
        stopping: nothing new is begun; the segments that are looked at are finished.
        aborting: it ends now.
    """

    def __init__(self) -> None:
        self.stopping = self.aborting = False

    def stop(self) -> None:
        self.stopping = True

    def abort(self) -> None:
        self.stopping = self.aborting = True


class Work:
    """Makes the results of clips.

    Args:
        clips: to be made; each has a segment at least.
        options: what is taken of them.
        fingerprint: see `pipeline.batch.fingerprint`.
        folder: of the batch; claimed.
        staff: that does it.
        processes: that look at segments at once; so many at most follow clips.
        observer: is told how far it is.
        halt: looked at all the time.

    Attributes:
        progress: how far it is.
        complete: names of the clips that are done.
        failed: why others are not, by their names.
        ended_early: why not all was tried; empty where it was.
        restarts: how processes died, for each that did.
        stages: seconds that the workers of all processes were busy, by stage.

    Raises:
        BatchError: the folder cannot be written.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        options: BatchRunConfig,
        fingerprint: Mapping[str, Any],
        folder: BatchFolder,
        staff: Staff,
        processes: int,
        observer: Observer,
        halt: Halt,
    ) -> None:
        self.progress = Progress(clips, options)
        self.complete: list[str] = []
        self.failed: dict[str, str] = {}
        self.ended_early = ""
        self.restarts: list[str] = []
        self.stages: defaultdict[str, float] = defaultdict(float)
        self.processes = processes
        self._fingerprint, self._folder, self._staff = fingerprint, folder, staff
        self._observer, self._halt = observer, halt
        self._key = sha256_of(fingerprint)
        self._deaths_in_a_row = 0
        self._begun_s = time.monotonic()
        seen = {clip.name: self._left_behind(clip) for clip in clips}
        self.progress.began()
        self._schedule = Schedule(clips, seen, _OPEN * processes)

    def run(self) -> None:
        """Works until all is done, or nothing more can be.

        Raises:
            StageError: no process can be started.
            BatchError: the folder cannot be written.
        """
        while not self._over():
            with self._room():
                self._give()
                self._staff.wait(_TICK_S)
                self._listen()
            self._tell()

    def _over(self) -> bool:
        if self._halt.aborting or (
            self._halt.stopping and not any(seat.jobs for seat in self._staff.of("see"))
        ):
            self.ended_early = self.ended_early or INTERRUPTED
        return self._schedule.over or bool(self.ended_early)

    def _give(self) -> None:
        """Everybody has a job, and every seer the next one too, as long as there are any."""
        if self._halt.stopping:
            return
        left = self._schedule.unseen
        while len(seers := self._staff.of("see")) < min(self.processes, left):
            self._staff.hire("see")
        for seat in [*(s for s in seers if not s.jobs), *(s for s in seers if len(s.jobs) == 1)]:
            # Of the last ones none is kept for who is busy: another one may be free before.
            if not seat.jobs or self._schedule.unseen > len(seers):
                self._give_segment(seat)
        for seat in [] if self._schedule.unseen else [s for s in seers if not s.jobs]:
            self._staff.dismiss(seat)  # there is nothing to look at any more
        self._give_clips()

    def _give_segment(self, seat: Seat) -> None:
        if given := self._schedule.next_segment():
            clip, segment = given
            folder = self._folder.begin(clip, self._key)
            seat.give(SeeJob(clip, segment, folder))

    def _give_clips(self) -> None:
        followers = self._staff.of("follow")
        idle = [seat for seat in followers if not seat.jobs]
        places = self.processes - len(followers)
        while (idle or places > 0) and (given := self._schedule.next_clip()):
            clip, seen = given
            if not idle:
                places -= 1
            seat = idle.pop() if idle else self._staff.hire("follow")
            work = self._folder.work(clip.name)
            seat.give(FollowJob(clip, work, self._folder.results(clip.name)))
            for segment in seen:
                seat.helper.ready(clip.name, segment)

    def _listen(self) -> None:
        for seat in list(self._staff.seats):
            for answer in seat.helper.answers():
                self._heed(seat, answer)
            if seat.helper.died and seat in self._staff.seats:
                self._lose(seat, seat.helper.died)

    def _heed(self, seat: Seat, answer: Answer) -> None:
        if isinstance(answer, Under):
            for stage, busy_s in answer.busy_s.items():
                self.stages[stage] += busy_s
            if course := self.progress.at_work.get(answer.clip):
                tell = course.looks if seat.helper.kind == "see" else course.follows
                tell(answer.frames)
            return
        self._deaths_in_a_row = 0
        if isinstance(answer, Seen):
            self._take_segment(seat, answer)
        else:
            self._take_clip(seat, answer)

    def _take_segment(self, seat: Seat, seen: Seen) -> None:
        place = seen.clip, seen.segment
        seat.jobs = [j for j in seat.jobs if isinstance(j, SeeJob) and _place(j) != place]
        if self._halt.stopping:
            self._staff.dismiss(seat)  # what it was given beside that can be done another time
        course = self.progress.at_work.get(seen.clip)
        if course is None:
            return  # the clip has failed meanwhile
        if seen.error:
            self._fail(seen.clip, seen.error)
            return
        course.saw(seen.segment, seen.frames)
        self._schedule.was_seen(seen.clip, seen.segment)
        for follower in self._at(seen.clip):
            follower.helper.ready(seen.clip, seen.segment)

    def _take_clip(self, seat: Seat, followed: Followed) -> None:
        (job,) = seat.jobs
        seat.jobs = []
        if followed.error:
            self._fail(followed.clip, followed.error)
            return
        clip, work = job.clip, self._folder.work(followed.clip)
        seen = [SeenSegment(work, clip.name, s.number).marker.seen for s in clip.segments]
        results = work / "results"
        self._folder.finish(clip.name, manifest(clip, self._fingerprint, seen, followed, results))
        self._schedule.end(clip.name)
        self.complete.append(clip.name)
        self.progress.ended(clip.name, "", _dropped(followed))
        self._observer.ended(clip.name, "")

    def _lose(self, seat: Seat, how: str) -> None:
        """A process died: another one is to try what it was at, unless several have."""
        self.restarts.append(f"{seat}: {how}")
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row >= _HOPELESS:
            self.ended_early = f"the processes die one after the other; the last one {how}"
        self._staff.dismiss(seat)
        first, others = seat.jobs[:1], seat.jobs[1:]
        for job in first:
            name = job.clip.name
            if isinstance(job, SeeJob):
                again = self._schedule.seer_died(name, job.segment.number)
            else:
                again = self._schedule.follower_died(name)
                if course := self.progress.at_work.get(name):
                    course.begins_again()
            if not again:
                self._fail(name, f"{RETRIES + 1} processes died of it; the last one {how}")
        for job in others:
            if isinstance(job, SeeJob):
                self._schedule.was_not_seen(*_place(job))

    def _fail(self, clip: str, error: str) -> None:
        if any(text in error for text in _FULL):
            self.ended_early = f"no space left on the disk: {error}"
            return
        if clip not in self.progress.at_work:
            return
        for follower in self._at(clip):
            self._staff.dismiss(follower)
        self._schedule.end(clip)
        self.failed[clip] = error
        self.progress.ended(clip, error)
        self._observer.ended(clip, error)

    def _at(self, clip: str) -> list[Seat]:
        """Who follows a clip."""
        return [s for s in self._staff.of("follow") if any(j.clip.name == clip for j in s.jobs)]

    def _left_behind(self, clip: Clip) -> list[int]:
        """The clip's segments that an earlier run has left whole."""
        if not self._folder.work(clip.name).is_dir():
            return []
        there = []
        folder = self._folder.begin(clip, self._key)
        for segment in clip.segments:
            with suppress(DataError):
                seen = finished(folder, clip.name, segment.number)
                self.progress.at_work[clip.name].was_seen(segment.number, seen.frames)
                there.append(segment.number)
        return there

    def _tell(self) -> None:
        wall_s = time.monotonic() - self._begun_s
        self._observer.progress(self.progress.standing(wall_s, self._staff.memory()))

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Ends the work in order where the disk is full."""
        try:
            yield
        except OSError as error:
            if not is_full(error):
                raise BatchError(f"{self._folder.path}: cannot be written: {error}") from error
            self.ended_early = f"no space left on the disk of {self._folder.path}"


def _place(job: SeeJob) -> tuple[str, int]:
    return job.clip.name, job.segment.number


def _dropped(followed: Followed) -> int:
    """Frames of a clip that have no result."""
    account = followed.report.get("ledger", {}).get(followed.clip, {})
    return sum(entry["frames"] for entry in account.get("dropped", ()))
