"""A tensor described before it exists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import TensorError


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape and type of one input or output.

    Attributes:
        name: as in the network.
        shape: lengths of the axes; -1 where any length is taken.
        dtype: of the elements.
        layout: meaning of the axes, such as ``nchw``; empty where unknown.
        scale: of a quantised tensor, ``real = (stored - zero_point) * scale``; None for real ones.
        zero_point: of a quantised tensor; None for real ones.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    layout: str = ""
    scale: float | None = None
    zero_point: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "dtype", np.dtype(self.dtype))

    def __str__(self) -> str:
        axes = ", ".join("?" if n < 0 else str(n) for n in self.shape)
        return f"{self.name}: {self.dtype}[{axes}]{' ' + self.layout if self.layout else ''}"

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape fits."""
        return shape == self.shape or (
            len(shape) == len(self.shape)
            and all(want in (-1, got) for want, got in zip(self.shape, shape, strict=True))
        )

    def validate(self, array: NDArray[Any]) -> None:
        """Raises `TensorError`, saying what was expected and what came, on a misfit."""
        if not isinstance(array, np.ndarray):
            raise TensorError(f"expected {self}, got {type(array).__name__}, not a numpy array")
        if array.dtype != self.dtype or not self.accepts(array.shape):
            raise TensorError(f"expected {self}, got {array.dtype}{list(array.shape)}")

    def agrees(self, other: TensorSpec) -> bool:
        """Whether both can describe the same tensor: same type, and no axis contradicts."""
        return (
            self.dtype == other.dtype
            and len(self.shape) == len(other.shape)
            and all(-1 in (a, b) or a == b for a, b in zip(self.shape, other.shape, strict=True))
        )

    def narrowed(self, other: TensorSpec) -> TensorSpec:
        """This specification with the axes that only `other` knows."""
        shape = tuple(b if a == -1 else a for a, b in zip(self.shape, other.shape, strict=True))
        return TensorSpec(
            self.name,
            shape,
            self.dtype,
            self.layout or other.layout,
            other.scale if self.scale is None else self.scale,
            other.zero_point if self.zero_point is None else self.zero_point,
        )
