"""Runs trackers over sequences and scores them, in several processes if there is much to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

from pipeline.config.tracker import track_spec
from pipeline.evaluation.evaluate import Rules, Scores, evaluate
from pipeline.evaluation.mot_files import MotTable
from pipeline.tracking.offline import track_table
from pipeline.tracking.spec import TrackSpec
from pipeline.tuning.search import Scorer, Trial
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

    def scores(self, spec: TrackSpec, rules: Rules) -> Scores:
        """Those of this tracker."""
        run = track_table(self.seen, self.fps, spec, picture=self.picture)
        return evaluate(self.gt, run.table, rules)


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


def _columns(
    courses: Sequence[Course], trials: Sequence[Trial]
) -> tuple[list[Course], list[Point]]:
    return [courses[number] for _, number in trials], [point for point, _ in trials]


def _score(base: Base, rules: Rules, course: Course, point: Point) -> Scores:
    return course.scores(base.at(point), rules)
