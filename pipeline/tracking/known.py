"""All that is known of a camera's tracks: records, motion, looks and paths, row by row the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.detections import Detections
from pipeline.tracking.book import LOST, Book
from pipeline.tracking.common_motion import CommonMotion
from pipeline.tracking.cost import Indices
from pipeline.tracking.extrapolation import Region
from pipeline.tracking.gallery import Embeddings, Gallery
from pipeline.tracking.momentum import Path
from pipeline.tracking.motion import Floats, Motion

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """M detections of one frame with their embeddings (M, D), where there are any."""

    detections: Detections
    embeddings: Embeddings | None

    def take(self, index: Indices | Mask) -> Found:
        """Those at `index` (positions in any order, or a mask)."""
        embeddings = None if self.embeddings is None else self.embeddings[index]
        return Found(self.detections.take(index), embeddings)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """N tracks.

    Attributes:
        book: their records.
        motion: how they move.
        gallery: how they look.
        path: where they were seen; None where nothing asks for it.
        common: how they all move at once.
        region: where objects were seen so far.
        reupdates: whether motion is corrected backwards for tracks found again.
    """

    book: Book
    motion: Motion
    gallery: Gallery
    path: Path | None
    common: CommonMotion
    region: Region
    reupdates: bool = False

    def append(self, ids: NDArray[np.int64], state: int, found: Found, pts_ns: int) -> Indices:
        """New tracks in that state, one for each of `found`, with rising ids; gives their rows."""
        boxes_xyxy = found.detections.boxes_xyxy
        rows = self.book.append(ids, state, pts_ns)
        self.book.hit(rows, found.detections, pts_ns)
        self.motion.initiate(boxes_xyxy)
        self.gallery.append(len(rows))
        if found.embeddings is not None:
            self.gallery.update(rows, found.embeddings)
        if self.path is not None:
            self.path.append(boxes_xyxy)
        return rows

    def hit(self, rows: Indices, found: Found, doubt: Floats | float, pts_ns: int) -> None:
        """The tracks `rows` (K,), each at most once, were matched with `found` (K).

        There is `doubt` about the boxes, see `Motion.update`.
        """
        boxes_xyxy = found.detections.boxes_xyxy
        self._move(rows, boxes_xyxy, doubt, pts_ns)
        self.book.hit(rows, found.detections, pts_ns)
        if found.embeddings is not None:
            self.gallery.update(rows, found.embeddings)
        if self.path is not None:
            self.path.hit(rows, boxes_xyxy)

    def _move(
        self, rows: Indices, boxes_xyxy: NDArray[Any], doubt: Floats | float, pts_ns: int
    ) -> None:
        """Corrects the motion of the tracks `rows` (K,) by their new boxes (K, 4)."""
        if not self.reupdates or not (again := self.book["state"].take(rows) == LOST).any():
            self.motion.update(rows, boxes_xyxy, doubt)
            return
        doubts = np.broadcast_to(doubt, len(rows))
        self.motion.update(rows[~again], boxes_xyxy[~again], doubts[~again])
        gaps_s = (pts_ns - self.book["seen_ns"][rows[again]]) / 1e9
        self.motion.reupdate(rows[again], boxes_xyxy[again], gaps_s)

    def keep(self, mask: Mask) -> None:
        """Forgets the tracks where `mask` (N,) is False."""
        for part in self._rows().values():
            part.keep(mask)

    def warp(self, matrix: Floats) -> None:
        """Moves everything by an affine map (2, 3) of pixels: the camera moved."""
        self.motion.warp(matrix)
        self.book.warp(matrix)
        if self.path is not None:
            self.path.warp(matrix)

    def shifted(self, offset: Floats) -> Known:
        """The same moved by (2,) pixels along x and y, as `warp` would; this here stays."""
        return Known(
            self.book.shifted(offset),
            self.motion.shifted(offset),
            self.gallery,
            None if self.path is None else self.path.shifted(offset),
            self.common,
            self.region,
            self.reupdates,
        )

    def saved(self) -> dict[str, NDArray[Any]]:
        """Everything as plain arrays, for `restore`; they are not changed later on."""
        return {
            f"{name}.{key}": array
            for name, part in self._parts().items()
            for key, array in part.saved().items()
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Goes on from what was `saved`; the arrays are not changed."""
        for name, part in self._parts().items():
            own = f"{name}."
            part.restore({k.removeprefix(own): a for k, a in arrays.items() if k.startswith(own)})

    def _rows(self) -> dict[str, Book | Motion | Gallery | Path]:
        """What has a row for every track."""
        parts: dict[str, Book | Motion | Gallery | Path]
        parts = {"book": self.book, "motion": self.motion, "gallery": self.gallery}
        return parts if self.path is None else parts | {"path": self.path}

    def _parts(self) -> dict[str, Book | Motion | Gallery | Path | CommonMotion | Region]:
        return {**self._rows(), "common": self.common, "region": self.region}
