"""Where each track was seen last, and how well a detection keeps its direction.

The observation-centric momentum of Cao et al., Observation-centric SORT (CVPR 2023), sec. 4.2: the
direction between two observations of a track, which is less noisy than a filter's velocity, is
compared with the direction from the last of them to a detection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.cost import Indices, Pairs
from pipeline.tracking.motion import Floats

#: Observations back to the one that the direction starts from (the paper's Δt).
_STEPS = 3


class Path:
    """The last observed centres of N tracks.

    Attributes:
        centres: (2, `_STEPS` + 1, N), pixels, the last first; of a young track its first is
            repeated.
    """

    def __init__(self) -> None:
        self.centres: Floats = np.empty((2, _STEPS + 1, 0))

    def append(self, boxes_xyxy: NDArray[Any]) -> None:
        """New tracks were seen at these boxes (M, 4)."""
        born = _centres(boxes_xyxy)[:, None, :].repeat(_STEPS + 1, axis=1)
        self.centres = np.concatenate((self.centres, born), axis=2)

    def hit(self, rows: Indices, boxes_xyxy: NDArray[Any]) -> None:
        """The tracks `rows` (M,), each at most once, were seen at these boxes (M, 4)."""
        before = self.centres[:, :-1, rows]
        self.centres[:, 1:, rows] = before
        self.centres[:, 0, rows] = _centres(boxes_xyxy)

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Forgets the tracks where `mask` (N,) is False."""
        self.centres = self.centres.compress(mask, axis=2)

    def warp(self, matrix: Floats) -> None:
        """Moves all centres by an affine map (2, 3)."""
        self.centres = np.einsum("ij,jkn->ikn", matrix[:, :2], self.centres) + matrix[:, 2:, None]

    def shifted(self, offset: Floats) -> Path:
        """A copy moved by (2,) pixels along x and y."""
        moved = Path()
        moved.centres = self.centres + offset[:, None, None]
        return moved

    def agreement(self, pairs: Pairs, boxes_xyxy: NDArray[Any]) -> Floats:
        """How well each pair keeps its track's direction: (P,) in -0.5..0.5, 0 where there is none.

        Args:
            pairs: of tracks and the boxes.
            boxes_xyxy: (M, 4).
        """
        last = self.centres[:, 0]
        heading = _unit(last - self.centres[:, -1]).take(pairs.tracks, 1)
        there = _centres(boxes_xyxy).take(pairs.detections, 1)
        intended = _unit(there - last.take(pairs.tracks, 1))
        angle = np.arccos(np.clip((heading * intended).sum(axis=0), -1, 1))
        agreement: Floats = (0.5 - angle / np.pi) * (heading.any(axis=0) & intended.any(axis=0))
        return agreement

    def saved(self) -> dict[str, NDArray[Any]]:
        """What `restore` takes."""
        return {"centres": self.centres.copy()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Goes on from what was `saved`."""
        self.centres = arrays["centres"].copy()


def _centres(boxes_xyxy: NDArray[Any]) -> Floats:
    """Centres of boxes (M, 4): (2, M)."""
    centres: Floats = 0.5 * (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]).T.astype(np.float64)
    return centres


def _unit(ways: Floats) -> Floats:
    """Ways (2, M) of length 1; none stays none."""
    length = np.sqrt((ways**2).sum(axis=0))
    unit: Floats = ways / np.where(length > 0, length, 1.0)
    return unit
