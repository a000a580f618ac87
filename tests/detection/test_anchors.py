"""Anchors against the definition written out, cell by cell."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

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
