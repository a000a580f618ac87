"""How each track looks: one embedding a track, averaged over its life.

The exponential average of L2-normalised embeddings, normalised again, is that of Wang et al.,
Towards real-time multi-object tracking (ECCV 2020), equation in sec. 3.5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.cost import Indices, Similarity
from pipeline.tracking.motion import Floats

Embeddings = NDArray[np.float32]


class Gallery:
    """The embeddings of N tracks; a track that none was seen of has the zero vector.

    Args:
        momentum: share of the old average, 0..1.
        similarity: what compares embeddings.
    """

    def __init__(self, momentum: float, similarity: Similarity | None = None) -> None:
        self._momentum = momentum
        self._similarity = similarity or Similarity()
        self.embeddings: Embeddings = np.zeros((0, 0), np.float32)

    def append(self, count: int) -> None:
        """Adds `count` tracks, not seen yet."""
        self._resize(len(self.embeddings) + count, self.embeddings.shape[1])

    def update(self, rows: Indices, embeddings: Embeddings) -> None:
        """The tracks `rows` (M,), each at most once, look like `embeddings` (M, D)."""
        if embeddings.shape[1] != self.embeddings.shape[1]:
            self._resize(len(self.embeddings), embeddings.shape[1])
        mixed = self._momentum * self.embeddings[rows] + (1 - self._momentum) * embeddings
        self.embeddings[rows] = normalised(mixed)

    def similarity(self, rows: Indices, embeddings: Embeddings) -> Floats:
        """Cosine of each of the tracks `rows` (N,) to each embedding (M, D): (N, M).

        0 for a track that was not seen.
        """
        if not self.embeddings.shape[1]:
            return np.zeros((len(rows), len(embeddings)))
        return self._similarity.cosines(self.embeddings[rows], embeddings)

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Forgets the tracks where `mask` (N,) is False."""
        self.embeddings = self.embeddings[mask]

    def _resize(self, tracks: int, width: int) -> None:
        old = self.embeddings
        self.embeddings = np.zeros((tracks, width), np.float32)
        self.embeddings[: len(old), : old.shape[1]] = old


def normalised(embeddings: Embeddings) -> Embeddings:
    """Rows (M, D) scaled to length 1; zero rows stay zero."""
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit: Embeddings = embeddings / np.maximum(length, np.finfo(np.float32).tiny)
    return unit
