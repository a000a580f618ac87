"""MOTChallenge text files: ground truth, tracking results and detections as one table of boxes.

One line a box, commas between the columns (MOTChallenge, https://motchallenge.net/instructions/):

    frame, id, left, top, width, height, score [, class [, visibility]]      as in MOT16 and later
    frame, id, left, top, width, height, score [, x, y, z]                   as in MOT15

Frames count from 1. The score of a ground-truth row is a flag: 0 means that it is not scored. The
id of a detection is -1. The reader is strict: whatever is not such a line is an error that names
the file and the line, because a silently skipped line is a wrong score.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import DataError

ANY_CLASS = -1
"""Class of a row whose file does not say one."""

_FEWEST_COLUMNS, _MOST_COLUMNS = 7, 10
_FARTHEST = 1e9  # pixels; a box beyond is a mistake, and its area may overflow
_LARGEST_ID = 2**53  # whole numbers beyond it are not exact in float64


@dataclass(frozen=True, slots=True, eq=False)
class MotTable:
    """N boxes in the order of their file.

    Attributes:
        frames: (N,) int64, from 1.
        ids: (N,) int64; -1 for detections.
        boxes_xywh: (N, 4) float64, left, top, width, height in pixels.
        scores: (N,) float64, confidence in the file's own range; in ground truth 0 = not scored.
        classes: (N,) int64, `ANY_CLASS` where the file does not say.
        source: what to call the table in messages, normally its path.
    """

    frames: NDArray[np.int64]
    ids: NDArray[np.int64]
    boxes_xywh: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.int64]
    source: str = "table"

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def boxes_xyxy(self) -> NDArray[np.float32]:
        """(N, 4) source pixels from 0, as the pipeline counts them; the files count from 1."""
        low = self.boxes_xywh[:, :2] - 1
        return np.hstack([low, low + self.boxes_xywh[:, 2:]]).astype(np.float32)

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> MotTable:
        """The rows at `index` (positions or a mask)."""
        return MotTable(
            self.frames[index],
            self.ids[index],
            self.boxes_xywh[index],
            self.scores[index],
            self.classes[index],
            self.source,
        )

    def scaled(self, factor: float) -> MotTable:
        """The same rows in a picture `factor` times as large."""
        boxes = self.boxes_xywh * factor
        return MotTable(self.frames, self.ids, boxes, self.scores, self.classes, self.source)


def rows_of_frame(
    index: int,
    ids: ArrayLike,
    boxes_xyxy: NDArray[np.float32],
    scores: ArrayLike,
    classes: ArrayLike,
) -> NDArray[np.float64]:
    """One frame's boxes as rows for `table_from_rows`, (N, 8) float64.

    Args:
        index: of the frame, from 0; frames and pixels of the rows count from 1, as in the files.
        ids: (N,) or one for all.
        boxes_xyxy: (N, 4) source pixels from 0.
        scores: (N,) or one for all.
        classes: (N,) or one for all.
    """
    rows = np.empty((len(boxes_xyxy), 8))
    rows[:, 0], rows[:, 1], rows[:, 6], rows[:, 7] = index + 1, ids, scores, classes
    rows[:, 2:4] = boxes_xyxy[:, :2] + 1.0
    rows[:, 4:6] = boxes_xyxy[:, 2:].astype(np.float64) - boxes_xyxy[:, :2]
    return rows


def table_from_rows(
    rows: Sequence[Sequence[float]] | NDArray[np.float64], source: str = "table"
) -> MotTable:
    """A table of rows (frame, id, left, top, width, height, score, class); checked like a file."""
    values = np.array(rows, np.float64).reshape(-1, 8)
    _check_values(values, source)
    return _to_table(values, source)


def of_classes(table: MotTable, classes: Collection[int]) -> MotTable:
    """The rows of these classes, or of `ANY_CLASS`; all rows where no classes are given."""
    if not classes:
        return table
    return table.take(np.isin(table.classes, [*classes, ANY_CLASS]))


def one_after_another(
    sequences: Sequence[tuple[MotTable, MotTable]],
) -> tuple[MotTable, MotTable]:
    """Ground truths and results of several sequences as if they were one, in this order of time."""
    ends = [max([0, *gt.frames, *result.frames]) for gt, result in sequences]
    starts = np.cumsum([0, *ends[:-1]]).tolist()
    later = [
        tuple(replace(table, frames=table.frames + start) for table in pair)
        for pair, start in zip(sequences, starts, strict=True)
    ]
    return concatenated([gt for gt, _ in later]), concatenated([result for _, result in later])


def concatenated(tables: Sequence[MotTable]) -> MotTable:
    """The rows of all tables, in this order."""
    return MotTable(
        np.concatenate([t.frames for t in tables]),
        np.concatenate([t.ids for t in tables]),
        np.concatenate([t.boxes_xywh for t in tables]),
        np.concatenate([t.scores for t in tables]),
        np.concatenate([t.classes for t in tables]),
        " and ".join(dict.fromkeys(t.source for t in tables)),
    )


def read_mot(path: Path) -> MotTable:
    """Reads a ground-truth, result or detection file.

    The eighth column is taken as the class if it holds whole numbers only; in MOT15 it is a world
    coordinate instead, and every row is of `ANY_CLASS`. An empty file is a table without rows.

    Raises:
        DataError: the file cannot be read, or a line is not as described above; the message names
            file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({_reason(error)})") from error
    values = _parse(lines, str(path))
    _check_values(values, str(path))
    return _to_table(values, str(path))


def mot_text(table: MotTable) -> str:
    """A table as ``frame,id,left,top,width,height,score,class,-1,-1``, sorted by frame and id.

    Boxes are rounded to 1/100 pixel, scores to 1e-4.
    """
    order = np.lexsort((table.ids, table.frames))
    return "".join(
        f"{table.frames[i]},{table.ids[i]},"
        + ",".join(f"{value:.2f}" for value in table.boxes_xywh[i])
        + f",{table.scores[i]:.4f},{table.classes[i]},-1,-1\n"
        for i in order
    )


def write_mot(path: Path, table: MotTable) -> None:
    """Writes `mot_text`; where that fails no file of that name is half-written.

    Raises:
        DataError: the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(mot_text(table), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({_reason(error)})") from error


def check_tracks(table: MotTable) -> MotTable:
    """Hands the table back if every row has an identity, used once a frame.

    Raises:
        DataError: a negative id, or an id twice in one frame.
    """
    if np.any(table.ids < 0):
        frame = table.frames[table.ids < 0][0]
        raise DataError(
            f"{table.source}: a row of frame {frame} has no identity (id below 0); "
            "these look like detections: run a tracker first, or score them with --detections"
        )
    order = np.lexsort((table.ids, table.frames))
    frames, ids = table.frames[order], table.ids[order]
    twice = np.flatnonzero((np.diff(frames) == 0) & (np.diff(ids) == 0))
    if len(twice):
        where = twice[0]
        raise DataError(f"{table.source}: id {ids[where]} comes twice in frame {frames[where]}")
    return table


def _parse(lines: list[str], source: str) -> NDArray[np.float64]:
    """Numbers of every line, (N, 7 to 10) float64."""
    if not lines:
        return np.empty((0, _FEWEST_COLUMNS))
    try:
        values = np.loadtxt(lines, delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        raise _located(lines, source) from error
    if len(values) != len(lines) or not _FEWEST_COLUMNS <= values.shape[1] <= _MOST_COLUMNS:
        raise _located(lines, source)
    return values


def _located(lines: list[str], source: str) -> DataError:
    """The error of the first line that is not like the others."""
    width = lines[0].count(",") + 1
    for number, line in enumerate(lines, 1):
        columns = line.split(",")
        if not _FEWEST_COLUMNS <= len(columns) <= _MOST_COLUMNS:
            expected = f"{_FEWEST_COLUMNS} to {_MOST_COLUMNS} numbers with commas between"
            return DataError(f"{source}:{number}: expected {expected}, found {_shown(line)}")
        if len(columns) != width:
            return DataError(
                f"{source}:{number}: {len(columns)} columns, the lines before have {width}"
            )
        for column in columns:
            if not _is_number(column):
                return DataError(f"{source}:{number}: {_shown(column)} is not a number")
    return DataError(f"{source}: is not a table of numbers")


def _check_values(values: NDArray[np.float64], source: str) -> None:
    """Raises `DataError` for the first row that is not a box of a frame."""
    rules = {
        "a number is not finite": np.isfinite(values).all(axis=1),
        "the frame is not a whole number from 1": _is_whole(values[:, 0]) & (values[:, 0] >= 1),
        "the id is not a whole number": _is_whole(values[:, 1]),
        "width or height is negative": (values[:, 4] >= 0) & (values[:, 5] >= 0),
        "a coordinate is beyond 1e9 pixels": (abs(values[:, 2:6]) <= _FARTHEST).all(axis=1),
    }
    for complaint, good in rules.items():
        if not np.all(good):
            raise DataError(f"{source}:{int(np.argmin(good)) + 1}: {complaint}")


def _to_table(values: NDArray[np.float64], source: str) -> MotTable:
    classes = np.full(len(values), ANY_CLASS, np.int64)
    if values.shape[1] > 7 and _is_whole(values[:, 7]).all():
        classes = values[:, 7].astype(np.int64)
    return MotTable(
        values[:, 0].astype(np.int64),
        values[:, 1].astype(np.int64),
        values[:, 2:6].copy(),
        values[:, 6].copy(),
        classes,
        source,
    )


def _is_whole(column: NDArray[np.float64]) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = (column == np.floor(column)) & (np.abs(column) < _LARGEST_ID)
    return whole


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # float() takes 1_000, files of numbers do not hold it


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _reason(error: Any) -> str:
    return getattr(error, "strerror", None) or str(error)
