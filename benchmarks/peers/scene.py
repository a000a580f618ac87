"""What a detector saw in one recording, as a file that every environment can read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """F frames, and the N boxes that were detected in them; all of one class.

    Attributes:
        fps: frames per second of the recording.
        indices: (F,) int64, rising, number of each frame in the recording, from 0; some may have
            been dropped.
        counts: (F,) int64, boxes of each frame.
        boxes_xyxy: (N, 4) float32, pixels, frame by frame.
        scores: (N,) float32 in 0..1.
    """

    fps: float
    indices: NDArray[np.int64]
    counts: NDArray[np.int64]
    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
        """Each frame's index, boxes and scores."""
        ends = self.counts.cumsum()
        for index, end, count in zip(self.indices.tolist(), ends, self.counts, strict=True):
            yield index, self.boxes_xyxy[end - count : end], self.scores[end - count : end]

    def kept(self, mask: NDArray[np.bool_]) -> Scene:
        """The scene without the frames where the mask (F,) is False."""
        boxes = np.repeat(mask, self.counts)
        return Scene(
            self.fps,
            self.indices[mask],
            self.counts[mask],
            self.boxes_xyxy[boxes],
            self.scores[boxes],
        )

    def first(self, frames: int) -> Scene:
        """The scene's beginning."""
        return self.kept(np.arange(len(self.indices)) < frames)

    def save(self, path: Path) -> None:
        """Writes it to a new file ``.npz``."""
        np.savez(
            path,
            fps=self.fps,
            indices=self.indices,
            counts=self.counts,
            boxes_xyxy=self.boxes_xyxy,
            scores=self.scores,
        )

    @staticmethod
    def load(path: Path) -> Scene:
        """Reads what `save` wrote."""
        with np.load(path) as arrays:
            fps = float(arrays["fps"])
            names = ("indices", "counts", "boxes_xyxy", "scores")
            return Scene(fps, *(arrays[name] for name in names))
