"""A tensor described before it exists."""

from __future__ import annotations

import numpy as np
import pytest

from engines import TensorError, TensorSpec


def spec(*shape: int, dtype: str = "float32") -> TensorSpec:
    return TensorSpec("x", shape, np.dtype(dtype))


@pytest.mark.parametrize("shape", [(1, 3), (5, 3), (0, 3)])
def test_a_free_axis_takes_any_length(shape: tuple[int, ...]) -> None:
    spec(-1, 3).validate(np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(1, 4), (3,), (1, 3, 1), ()])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TensorError, match=r"expected x: float32\[\?, 3\], got float32\["):
        spec(-1, 3).validate(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("one", "other", "agrees"),
    [
        (spec(1, 3), spec(1, 3), True),
        (spec(-1, 3), spec(4, 3), True),
        (spec(1, 3), spec(-1, -1), True),
        (spec(1, 3), spec(2, 3), False),
        (spec(1, 3), spec(1, 3, 1), False),
        (spec(1, 3), spec(1, 3, dtype="uint8"), False),
    ],
)
def test_agreement_is_mutual(one: TensorSpec, other: TensorSpec, agrees: bool) -> None:
    assert one.agrees(other) is agrees
    assert other.agrees(one) is agrees


def test_narrowing_fills_in_what_only_the_other_knows() -> None:
    told = TensorSpec("x", (-1, 3, -1), np.dtype("float32"), "nch")
    found = TensorSpec("x", (2, 3, -1), np.dtype("float32"), scale=0.5)
    assert told.narrowed(found) == TensorSpec("x", (2, 3, -1), told.dtype, "nch", 0.5)
