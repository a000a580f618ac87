"""A network that puts out NaN or infinity has seen nothing: such a frame is blind, not empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PacketError


class NonFiniteError(PacketError):
    """An output has NaN or infinite elements; whoever catches it marks the frame blind."""

    def __init__(self, detail: str) -> None:
        super().__init__("non_finite", detail)


def require_finite(tensors: Mapping[str, NDArray[Any]]) -> None:
    """Raises `NonFiniteError` naming the first tensor with an element that is not finite."""
    for name, array in tensors.items():
        if array.dtype.kind != "f":
            continue
        # One pass without a temporary; only a sum that is not finite is worth a closer look.
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.add.reduce(array, axis=None)
        if not np.isfinite(total) and (wrong := int((~np.isfinite(array)).sum())):
            raise NonFiniteError(f"output {name} has {wrong} of {array.size} elements not finite")
