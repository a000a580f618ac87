"""What a rule remembers of tracks, one record a track."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.cost import Indices

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Roll:
    """Records of tracks, by rising id.

    Args:
        fields: of a record beside ``id``, as numpy's dtypes have them.

    Attributes:
        records: (T,); may be changed in place, but for the ids.
    """

    def __init__(self, fields: Sequence[tuple[Any, ...]]) -> None:
        self.records: NDArray[Any] = np.empty(0, np.dtype([("id", np.int64), *fields], align=True))

    def __len__(self) -> int:
        return len(self.records)

    def rows(self, ids: Ids) -> tuple[Indices, Mask]:
        """The rows (N,) of these tracks, and which of them are new here: mask (N,).

        Args:
            ids: (N,), rising. The records of new ones are added, all zero.
        """
        new = ~self.known(ids)
        if np.count_nonzero(new):
            added = np.zeros(np.count_nonzero(new), self.records.dtype)
            added["id"] = ids[new]
            records = np.concatenate((self.records, added))
            self.records = records[records["id"].argsort()]
        return self.records["id"].searchsorted(ids), new

    def known(self, ids: Ids) -> Mask:
        """Which of these tracks (N,) there are records of: mask (N,)."""
        own = self.records["id"]
        if not len(own):
            return np.zeros(len(ids), np.bool_)
        known: Mask = own.take(own.searchsorted(ids), mode="clip") == ids
        return known

    def drop(self, ids: Ids) -> NDArray[Any]:
        """Takes out the records of these tracks (N,), as far as there are any: (K,)."""
        if not len(ids) or not len(self.records):
            return self.records[:0]
        leaving = np.isin(self.records["id"], ids)
        dropped, self.records = self.records[leaving], self.records[~leaving]
        return dropped
