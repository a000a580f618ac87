"""Ground truth, read off the pixels that were painted."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.world.cast import Placement
from pipeline.world.compositor import Spot

MIN_HEIGHT_PX = 8
"""Lower objects are in the ground truth, and scorers ignore them."""
MIN_VISIBILITY = 0.25
"""Objects hidden more than this are in the ground truth, and scorers ignore them."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The objects with at least one visible pixel.

    `boxes_xyxy` (N, 4) float32: the rectangle around the visible pixels of each, continuous
    coordinates, so that a single pixel at (0, 0) gives 0, 0, 1, 1. `ids` (N,) int64, `labels` (N,)
    int32, `visibility` (N,) float32: visible pixels over all pixels of the silhouette, those
    outside the picture included. `colours_bgr` (N, 3) uint8: see `Placement.colour`.
    """

    boxes_xyxy: NDArray[np.float32]
    ids: NDArray[np.int64]
    labels: NDArray[np.int32]
    visibility: NDArray[np.float32]
    colours_bgr: NDArray[np.uint8]


def read_truth(
    owner: NDArray[np.uint16], placed: list[tuple[Placement, Spot]], left: int, top: int
) -> Truth:
    """Returns the ground truth of a picture.

    Args:
        owner: (h, w) which sprite shows at each pixel of the picture, by order of painting.
        placed: what was painted, and where on the canvas.
        left: canvas column of the picture's first column.
        top: canvas row of the picture's first row.
    """
    boxes, ids, labels, visibility, colours = [], [], [], [], []
    for item, spot in placed:
        if item.label < 0:
            continue
        x0, y0 = max(spot.left - left, 0), max(spot.top - top, 0)
        window = owner[y0 : max(spot.bottom - top, 0), x0 : max(spot.right - left, 0)]
        if not window.size:
            continue
        shown = (window == spot.order).view(np.uint8)
        x, y, width, height = cv2.boundingRect(shown)
        if not width:
            continue
        boxes.append((x0 + x, y0 + y, x0 + x + width, y0 + y + height))
        ids.append(item.track_id)
        labels.append(item.label)
        visibility.append(cv2.countNonZero(shown) / spot.solid_px)
        colours.append(item.colour)
    return Truth(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(ids, np.int64),
        np.array(labels, np.int32),
        np.array(visibility, np.float32),
        np.array(colours, np.uint8).reshape(-1, 3),
    )
