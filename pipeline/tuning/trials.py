"""Runs trackers over sequences and scores them, in several processes if there is much to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

from pipeline.config.tracker import track_spec
from pipeline.evaluation.bootstrap import Difference, compare_sequences
from pipeline.evaluation.evaluate import Rules, Scores, prepare, score
from pipeline.evaluation.mot_files import MotTable
from pipeline.evaluation.sequence import Sequence as Compared
from pipeline.tracking.offline import track_table
from pipeline.tracking.spec import TrackSpec
from pipeline.tuning.search import Scorer, Trial, Tuned
from pipeline.tuning.search_space import Point


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One sequence to run trackers over.

    Attributes:
        name: of the sequence.
        gt: its ground truth.
        seen: its detections.
        fps: frames per second.
        picture: width and height in pixels, if known.
    """

    name: str
    gt: MotTable
    seen: MotTable
    fps: float
    picture: tuple[int, int] | None = None

    def tracked(self, spec: TrackSpec, rules: Rules) -> Compared:
        """The result of a tracker beside the ground truth."""
        run = track_table(self.seen, self.fps, spec, picture=self.picture)
        return prepare(self.gt, run.table, rules)


@dataclass(frozen=True, slots=True)
class Base:
    """The tracker whose keys are changed.

    Attributes:
        preset: its name or path.
        changes: as in ``--set``.
    """

    preset: str
    changes: tuple[str, ...] = ()

    def at(self, point: Point) -> TrackSpec:
        """With the values of a point."""
        values = (f"{key}={value}" for key, value in point.items())
        return track_spec(self.preset, changes=(*self.changes, *values))


@contextmanager
def scorer(
    courses: Sequence[Course], base: Base, rules: Rules, processes: int = 1
) -> Iterator[Scorer]:
    """What scores the trials of a search, on so many processes; these end with the context."""
    run = partial(_score, base, rules)
    if processes == 1:
        yield lambda trials: map(run, *_columns(courses, trials))
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield lambda trials: pool.map(run, *_columns(courses, trials))


def honest_gain(
    tuned: Tuned, start: Point, courses: Sequence[Course], base: Base, rules: Rules, metric: str
) -> Difference | None:
    """What the metric gains where it was not looked at: on each sequence by what is best on others.

    Returns:
        With an interval, as of two results that are compared; None of one sequence.
    """
    if not tuned.on_others:
        return None
    pairs = (
        (course.tracked(base.at(point), rules), course.tracked(base.at(start), rules), course.fps)
        for course, point in zip(courses, tuned.on_others, strict=True)
    )
    return compare_sequences(pairs, rules).differences[metric]


def _columns(
    courses: Sequence[Course], trials: Sequence[Trial]
) -> tuple[list[Course], list[Point]]:
    return [courses[number] for _, number in trials], [point for point, _ in trials]


def _score(base: Base, rules: Rules, course: Course, point: Point) -> Scores:
    return score(course.tracked(base.at(point), rules), rules)[0]
