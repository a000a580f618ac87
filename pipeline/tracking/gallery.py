"""How each track looks: an average embedding, or the last few.

The exponential average of L2-normalised embeddings, normalised again, is that of Wang et al.,
Towards real-time multi-object tracking (ECCV 2020), equation in sec. 3.5; the last L embeddings, of
which the most alike counts, are DeepSORT's (Wojke et al., ICIP 2017, eq. 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.cost import Indices, Pairs, Similarity
from pipeline.tracking.motion import Floats

Embeddings = NDArray[np.float32]


class Gallery:
    """The embeddings of N tracks; the zero vector stands for one that was not seen.

    Args:
        momentum: share of the old average, 0..1; where `size` is 1.
        size: embeddings kept of a track; 1 keeps their average.
        similarity: what compares embeddings.
    """

    def __init__(
        self, momentum: float, size: int = 1, similarity: Similarity | None = None
    ) -> None:
        self._momentum = momentum
        self._similarity = similarity or Similarity()
        #: (N, size, D), L2-normalised or zero.
        self.embeddings: Embeddings = np.zeros((0, size, 0), np.float32)
        #: Whether somebody else has these as well: then they are copied before they change. They
        #: are by far the most that is known of tracks, and few of them change in a frame.
        self._shared = False
        #: (N,) embeddings seen so far.
        self._seen: Indices = np.zeros(0, np.intp)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which tracks were seen: mask (N,)."""
        return self._seen > 0

    def append(self, count: int) -> None:
        """Adds `count` tracks, not seen yet."""
        self._resize(len(self.embeddings) + count, self.embeddings.shape[2])

    def update(self, rows: Indices, embeddings: Embeddings) -> None:
        """The tracks `rows` (M,), each at most once, look like `embeddings` (M, D).

        A zero vector says that nobody looked, and changes nothing. Embeddings of another network
        (another D) empty the gallery.
        """
        if embeddings.shape[1] != self.embeddings.shape[2]:
            self._resize(len(self.embeddings), embeddings.shape[1])
        (looked,) = np.nonzero(embeddings.any(axis=1))
        if not len(looked):
            return
        rows, embeddings = rows.take(looked), embeddings.take(looked, 0)
        size = self.embeddings.shape[1]
        slot = self._seen.take(rows) % size
        if size == 1:
            mixed = self._momentum * self.embeddings[rows, 0] + (1 - self._momentum) * embeddings
            embeddings = normalised(mixed)
        if self._shared:
            self.embeddings, self._shared = self.embeddings.copy(), False
        self.embeddings[rows, slot] = embeddings
        self._seen[rows] += 1

    def similarity(self, rows: Indices, embeddings: Embeddings) -> Floats:
        """Largest cosine of each of the tracks `rows` (N,) to each embedding (M, D): (N, M).

        0 for a track that was not seen.
        """
        _, size, width = self.embeddings.shape
        if not width or not len(rows):
            return np.zeros((len(rows), len(embeddings)))
        known = self.embeddings[rows].reshape(-1, width)
        cosines = self._similarity.cosines(known, embeddings)
        alike: Floats = cosines.reshape(len(rows), size, len(embeddings)).max(axis=1)
        return alike

    def similarity_of(self, pairs: Pairs, embeddings: Embeddings) -> Floats:
        """As `similarity`, of the pairs' tracks and embeddings only: (P,).

        NaN where the track was not seen or the embedding is zero.
        """
        alike = np.full(len(pairs), np.nan)
        looked = self.known.take(pairs.tracks)
        looked &= embeddings.any(axis=1).take(pairs.detections)
        if looked.any():
            known = self.embeddings[pairs.tracks[looked]]
            seen = embeddings[pairs.detections[looked]]
            alike[looked] = np.einsum("pkd,pd->pk", known, seen, dtype=np.float64).max(axis=1)
        return alike

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Forgets the tracks where `mask` (N,) is False."""
        self.embeddings = self.embeddings.compress(mask, axis=0)
        self._seen = self._seen.compress(mask)

    def saved(self) -> dict[str, NDArray[Any]]:
        """What `restore` takes."""
        self._shared = True
        return {"embeddings": self.embeddings, "seen": self._seen.copy()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Goes on from what was `saved`."""
        self.embeddings, self._shared = arrays["embeddings"], True
        self._seen = arrays["seen"].copy()

    def _resize(self, tracks: int, width: int) -> None:
        old = self.embeddings
        self.embeddings = np.zeros((tracks, old.shape[1], width), np.float32)
        if width == old.shape[2]:
            self.embeddings[: len(old)] = old
        self._seen = np.concatenate((self._seen, np.zeros(tracks - len(self._seen), np.intp)))


def normalised(embeddings: Embeddings) -> Embeddings:
    """Rows (M, D) scaled to length 1; zero rows stay zero."""
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit: Embeddings = embeddings / np.maximum(length, np.finfo(np.float32).tiny)
    return unit
