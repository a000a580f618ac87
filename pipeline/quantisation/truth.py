"""Ground truth of what a camera shows: from a file, or exact where the picture was rendered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.evaluation.mot_files import MotTable, read_mot, rows_of_frame, table_from_rows
from pipeline.media.rendered import RenderedSource
from pipeline.media.sources import open_source
from pipeline.media.uri import path_of, scheme_of
from pipeline.world import LABELS, World


class Truth(ABC):
    """What there is to see in each frame of one camera.

    Attributes:
        source: where it is from, for people.
        numbers: the class number of each label; empty where nothing names the classes.
    """

    def __init__(self, source: str, numbers: Mapping[str, int]) -> None:
        self.source = source
        self.numbers = numbers

    @abstractmethod
    def over(self, indices: Collection[int]) -> MotTable:
        """The rows of these frames, by their index from 0."""

    def objects(self, index: int) -> MotTable:
        """The objects of one frame that are scored."""
        rows = self.over([index])
        return rows.take(rows.scores != 0)


class FileTruth(Truth):
    """A MOTChallenge file; its classes have names where ``../labels.txt`` lists them, line by line.

    Args:
        path: of the file, or of the sequence's folder with ``gt/gt.txt`` in it.
        scale: multiplies the boxes, for a resized video.

    Raises:
        DataError: the file is malformed, or there is none.
    """

    def __init__(self, path: Path, scale: float = 1.0) -> None:
        path = path / "gt" / "gt.txt" if path.is_dir() else path
        labels = path.parent.parent / "labels.txt"
        named = path.parent.name == "gt" and labels.is_file()
        names = labels.read_text(encoding="utf-8").splitlines() if named else []
        super().__init__(str(path), {name: number for number, name in enumerate(names, 1)})
        self._table = read_mot(path).scaled(scale)
        if not len(self._table):
            raise DataError(f"{path}: expected ground truth, found no row")

    def over(self, indices: Collection[int]) -> MotTable:
        return self._table.take(np.isin(self._table.frames, np.array([*indices]) + 1))


class WorldTruth(Truth):
    """Of a rendered world; each frame is rendered once to be read off.

    Args:
        world: not used by others.
    """

    def __init__(self, world: World) -> None:
        numbers = {name: number for number, name in enumerate(LABELS, 1)}
        super().__init__(f"rendered {world.scene}, seed {world.seed}", numbers)
        self._rows = cache(lambda index: _rows(world, index))

    def over(self, indices: Collection[int]) -> MotTable:
        nothing = np.empty((0, 8))
        rows = [self._rows(index) for index in indices]
        return table_from_rows(np.concatenate([nothing, *rows]), self.source)


def at_hand(uri: str) -> Truth | None:
    """The exact ground truth that lies beside a clip, as beside the sample videos, or is rendered.

    Args:
        uri: of the source.

    Returns:
        None where there is none.

    Raises:
        DataError: the file is malformed.
        SourceError: the world cannot be made.
    """
    scheme = scheme_of(uri)
    if scheme == "rendered":
        source = open_source(uri)
        return WorldTruth(source.world) if isinstance(source, RenderedSource) else None
    beside = Path(path_of(uri)).with_suffix("") / "gt" / "gt.txt"
    return FileTruth(beside) if scheme in ("", "file") and beside.is_file() else None


def _rows(world: World, index: int) -> NDArray[np.float64]:
    frame = world.render(index)
    return rows_of_frame(index, frame.ids, frame.boxes_xyxy, frame.scored, frame.labels + 1)
