"""What a tracker under test is asked for, whatever library it is of."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Subject(Protocol):
    """One tracker, for one pass over one recording."""

    def prepared(self, boxes_xyxy: NDArray[np.float32], scores: NDArray[np.float32]) -> Any:
        """A frame's N boxes (N, 4) and scores (N,) in the library's own type. Not timed."""

    def update(self, frame: Any, index: int) -> Any:
        """What the library makes of a prepared frame with this number. Timed."""

    def tracks(self, result: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Identities (M,) and boxes_xyxy (M, 4) of what `update` gave. Not timed."""
