"""Anchors against the definition written out, cell by cell."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.detection.anchors import Anchors

D2GO = Anchors((32, 64, 96, 128, 160), (0.5, 1, 2), 16)


def written_out(anchors: Anchors, rows: int, columns: int) -> list[list[float]]:
    boxes = []
    for row in range(rows):
        for column in range(columns):
            x = (column + anchors.offset) * anchors.stride
            y = (row + anchors.offset) * anchors.stride
            for size in anchors.sizes:
                for ratio in anchors.ratios:
                    w = sqrt(size * size / ratio)
                    h = ratio * w
                    boxes.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    return boxes


@given(
    st.lists(st.floats(1, 600), min_size=1, max_size=5),
    st.lists(st.floats(0.1, 9), min_size=1, max_size=4),
    st.integers(1, 64),
    st.floats(-1, 1),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_any_sizes_ratios_strides_and_offsets(
    sizes: list[float], ratios: list[float], stride: int, offset: float, rows: int, columns: int
) -> None:
    anchors = Anchors(tuple(sizes), tuple(ratios), stride, offset)
    expected = np.array(written_out(anchors, rows, columns)).reshape(-1, 4)
    np.testing.assert_allclose(anchors.grid(rows, columns), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    "anchors",
    [D2GO, Anchors((8,), (1,), 4, 0.5), Anchors((20.5, 7), (0.33, 3), 8)],
    ids=["D2Go", "one, centred", "any numbers"],
)
def test_every_cell_has_its_boxes(anchors: Anchors) -> None:
    grid = anchors.grid(3, 4)
    assert grid.dtype == np.float32
    assert grid.shape == (3 * 4 * anchors.per_cell, 4)
    np.testing.assert_allclose(grid, written_out(anchors, 3, 4), rtol=1e-6, atol=1e-5)


def test_areas_are_the_sizes_squared_and_sides_have_the_ratio() -> None:
    sides = D2GO.cell()[:, 2:] - D2GO.cell()[:, :2]
    np.testing.assert_allclose(sides.prod(axis=1), np.repeat(np.square(D2GO.sizes), 3), rtol=1e-6)
    np.testing.assert_allclose(sides[:, 1] / sides[:, 0], D2GO.ratios * 5, rtol=1e-6)


def test_no_cells_no_boxes() -> None:
    assert D2GO.grid(0, 5).shape == (0, 4)


@given(st.integers(1, 2000), st.lists(st.booleans(), max_size=6))
def test_a_map_fits_however_its_halves_were_rounded(length: int, up: list[bool]) -> None:
    cells = length
    for rounded_up in up:
        cells = (cells + rounded_up) // 2
    anchors = Anchors((8,), (1,), 2 ** len(up))
    assert anchors.fit(cells, cells, length, length)
    assert not anchors.fit(cells + 2, cells, length, length)
    assert not anchors.fit(cells, cells - 2, length, length)
