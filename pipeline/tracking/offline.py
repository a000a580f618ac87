"""Trackers on detections that are there already: a file or arrays in, a table of tracks out.

from pipeline.tracking.offline import track_file

run = track_file("det.txt", fps=30, preset="sightline")
run.write("out.txt")
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from os import PathLike
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.tracker import track_spec
from pipeline.detection.detections import Detections
from pipeline.errors import DataError
from pipeline.evaluation.mot_files import (
    ANY_CLASS,
    MotTable,
    read_mot,
    rows_of_frame,
    table_from_rows,
    write_mot,
)
from pipeline.tracking.interpolation import UNSEEN, Method, interpolated
from pipeline.tracking.scores import to_scores
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.tracker import Tracker

#: Votes are counted by class number, so no number may be large.
_MOST_CLASSES = 10_000
#: A frame number beyond this is a mistake: so many take four days at 30 frames a second.
_MOST_FRAMES = 10_000_000


@dataclass(frozen=True, slots=True, eq=False)
class TrackRun:
    """What a tracker made of a sequence.

    Attributes:
        table: the tracks, frames and pixels from 1; of the score `UNSEEN` where the tracker gives a
            track out that it only expects there.
        fps: frames per second.
        frames: how many the tracker saw.
        detections: how many it saw.
        seconds: the tracker took.
    """

    table: MotTable
    fps: float
    frames: int
    detections: int
    seconds: float

    @property
    def tracks(self) -> int:
        """How many identities there are."""
        return len(np.unique(self.table.ids))

    @property
    def frame_us(self) -> float:
        """Microseconds a frame took on average."""
        return self.seconds * 1e6 / max(self.frames, 1)

    def interpolated(self, max_gap_s: float, method: Method = "linear") -> TrackRun:
        """The same with gaps filled, see `pipeline.tracking.interpolation`."""
        return replace(self, table=interpolated(self.table, self.fps, max_gap_s, method))

    def write(self, path: str | PathLike[str]) -> None:
        """Writes the tracks as a MOTChallenge file. Raises `DataError`."""
        write_mot(Path(path), self.table)


def track_file(
    path: str | PathLike[str],
    fps: float = 30.0,
    preset: str = "sightline",
    *,
    min_score: float | None = None,
    **keys: Any,
) -> TrackRun:
    """Tracks the detections of a MOTChallenge file.

    Args:
        path: of the file; its confidences may have any range (see `pipeline.tracking.scores`).
        fps: frames per second.
        preset: name of a tracker, or the path of a YAML file.
        min_score: detections of a lower confidence are left out, in the file's own unit.
        **keys: of the section `track`, in place of the preset's.

    Raises:
        DataError: the file is malformed; with file and line.
        ConfigError: a key or its value is wrong.
    """
    return track_table(read_mot(Path(path)), fps, track_spec(preset, keys), min_score)


def track_arrays(
    frames: Iterable[NDArray[Any]], fps: float = 30.0, preset: str = "sightline", **keys: Any
) -> TrackRun:
    """Tracks the detections in arrays, one a frame, in order.

    Args:
        frames: each (N, 5) or (N, 6): x1, y1, x2, y2 in pixels from 0, confidence, and class.
        fps: frames per second.
        preset: as `track_file`.
        **keys: as `track_file`.

    Raises:
        DataError: a value is not finite or an array has another shape.
        ConfigError: a key or its value is wrong.
    """
    rows = [np.empty((0, 8))]
    for index, boxes in enumerate(frames):
        if boxes.ndim != 2 or boxes.shape[1] not in (5, 6):
            raise DataError(f"frame {index}: expected an array (N, 5) or (N, 6), got {boxes.shape}")
        classes = boxes[:, 5] if boxes.shape[1] == 6 else ANY_CLASS
        rows.append(rows_of_frame(index, -1, boxes[:, :4], boxes[:, 4], classes))
    table = table_from_rows(np.concatenate(rows), "arrays")
    return track_table(table, fps, track_spec(preset, keys))


def track_table(
    seen: MotTable,
    fps: float,
    spec: TrackSpec,
    min_score: float | None = None,
    picture: tuple[int, int] | None = None,
) -> TrackRun:
    """Tracks the detections of a table; frames without any count as well.

    Args:
        seen: detections, in any order.
        fps: frames per second.
        spec: of the tracker.
        min_score: detections of a lower confidence are left out, in the table's own unit.
        picture: width and height in pixels, if known.

    Raises:
        DataError: the frame rate, a frame's number or a class is out of range.
        ConfigError: the screening names classes, or has zones in fractions of an unknown picture.
    """
    if not 0 < fps <= 1e6:
        raise DataError(f"{seen.source}: expected frames per second above 0, found {fps:g}")
    screening = spec.screening.numbered(()).in_pixels(picture)
    tracker = Tracker(spec.model_copy(update={"screening": screening}))
    any_class = (seen.classes == ANY_CLASS).all()
    rows, frames, detections, seconds = [np.empty((0, 8))], 0, 0, 0.0
    for index, found in enumerate(_frames(seen, -np.inf if min_score is None else min_score)):
        started = perf_counter()
        t = tracker.update(found, round(index * 1e9 / fps))
        seconds += perf_counter() - started
        frames, detections = frames + 1, detections + len(found)
        scores = np.where(t.unseen_s > 0, UNSEEN, t.scores)
        classes = ANY_CLASS if any_class else t.labels
        rows.append(rows_of_frame(index, t.ids, t.boxes_xyxy, scores, classes))
    table = table_from_rows(np.concatenate(rows), seen.source)
    return TrackRun(table, fps, frames, detections, seconds)


def _frames(seen: MotTable, min_score: float) -> Iterator[Detections]:
    """The detections of every frame from the first, those of one in the order of the table."""
    last = int(seen.frames.max(initial=0))
    if last > _MOST_FRAMES:
        raise DataError(f"{seen.source}: expected at most {_MOST_FRAMES} frames, found {last}")
    strange = (seen.classes < ANY_CLASS) | (seen.classes >= _MOST_CLASSES)
    if strange.any():
        raise DataError(
            f"{seen.source}: expected classes from 0 to {_MOST_CLASSES - 1}, or {ANY_CLASS} where "
            f"it is not known, found {seen.classes[strange][0]}"
        )
    labels = np.maximum(seen.classes, 0).astype(np.int32)
    detections = Detections(seen.boxes_xyxy, to_scores(seen.scores), labels)
    order = np.argsort(seen.frames, kind="stable")
    order = order[seen.scores[order] >= min_score]
    bounds = seen.frames[order].searchsorted(np.arange(1, last + 2))
    for start, end in pairwise(bounds.tolist()):
        yield detections.take(order[start:end])
