"""Puts sprites on the canvas from back to front and remembers which pixel shows whom."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.world.cast import Placement
from pipeline.world.sprite import Image

SOLID_ALPHA = 127
"""A pixel more opaque than this belongs to the object; a paler one lets through what is behind."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one sprite was painted: its place in the order, its rectangle, and its full size."""

    order: int
    left: int
    top: int
    right: int
    bottom: int
    solid_px: int
    """Solid pixels of the whole silhouette, hidden or outside the canvas included."""


class Canvas:
    """A picture in the making.

    `bgr` is (h, w, 3) uint8. `owner` is (h, w) uint16: which sprite, in order of painting from 1,
    shows at each pixel; 0 is the ground.
    """

    def __init__(self, background_bgr: Image) -> None:
        self.bgr: Image = background_bgr.copy()
        self.owner: NDArray[np.uint16] = np.zeros(self.bgr.shape[:2], np.uint16)

    def cast_shadow(self, item: Placement, darkness: float, length: float) -> None:
        """Darkens the ground where the shadow of `item` falls.

        Args:
            item: who casts it.
            darkness: 0 leaves the ground as it is, 1 makes it black.
            length: length of the shadow in heights of the item, to the right if positive.
        """
        level = min(1, len(item.sprite.levels) - 1)
        alpha = item.sprite.levels[level][..., 3]
        scale = item.scale * 2**level
        foot_x, foot_y = (part / 2**level for part in item.sprite.foot)
        # The silhouette lies down: a row so far above the foot moves aside and, a little, up.
        lean, rise = -length * scale, 0.22 * scale
        height, width = alpha.shape
        tall = foot_y * scale
        left = math.floor(item.column - foot_x * scale - max(0.0, -length * tall)) - 1
        top = math.floor(item.row - 0.22 * tall) - 1
        across = math.ceil(width * scale + abs(length) * tall) + 3
        down = math.ceil(0.22 * height * scale) + 3
        shift_x = item.column - left - scale * foot_x - lean * foot_y
        matrix = np.array([[scale, lean, shift_x], [0.0, rise, item.row - top - rise * foot_y]])
        laid = cv2.warpAffine(alpha, matrix, (across, down))
        window = _clip(left, top, across, down, self.owner.shape)
        if window is None:
            return
        target, source = window
        keep = cv2.convertScaleAbs(laid[source], alpha=-darkness, beta=255.0)
        _multiply(self.bgr[target], np.asarray(keep, np.uint8))

    def paint(self, item: Placement, order: int) -> Spot:
        """Paints `item` over everything painted so far and returns where it went."""
        patch, left, top = _placed(item)
        down, across = patch.shape[:2]
        solid = patch[..., 3] > SOLID_ALPHA
        spot = Spot(order, left, top, left + across, top + down, int(np.count_nonzero(solid)))
        window = _clip(left, top, across, down, self.owner.shape)
        if window is None:
            return spot
        target, source = window
        part = patch[source]
        _multiply(self.bgr[target], 255 - part[..., 3])
        cv2.add(self.bgr[target], part[..., :3], dst=self.bgr[target])
        np.putmask(self.owner[target], solid[source], np.uint16(order))
        return spot


def _placed(item: Placement) -> tuple[Image, int, int]:
    """Returns the sprite at its size in the picture, and the canvas pixel of its top left."""
    foot_x, foot_y = item.sprite.foot
    x0, y0 = item.column - foot_x * item.scale, item.row - foot_y * item.scale
    if item.scale == 1.0:
        return item.sprite.bgra, round(x0), round(y0)
    levels = item.sprite.levels
    level = min(len(levels) - 1, max(0, math.floor(-math.log2(item.scale))))
    scale = item.scale * 2**level
    left, top = math.floor(x0), math.floor(y0)
    height, width = levels[level].shape[:2]
    # Pixel centres lie at half coordinates, in the sprite as on the canvas.
    half = 0.5 * scale - 0.5
    matrix = np.array([[scale, 0.0, half + x0 - left], [0.0, scale, half + y0 - top]])
    size = (math.ceil(width * scale) + 1, math.ceil(height * scale) + 1)
    return np.asarray(cv2.warpAffine(levels[level], matrix, size), np.uint8), left, top


def _multiply(target_bgr: Image, keep: NDArray[np.uint8]) -> None:
    """Scales a picture in place by a (h, w) map in which 255 means unchanged."""
    factor = cv2.cvtColor(keep, cv2.COLOR_GRAY2BGR)
    cv2.multiply(target_bgr, factor, dst=target_bgr, scale=1.0 / 255.0)


Window = tuple[slice, slice]


def _clip(
    left: int, top: int, across: int, down: int, shape: tuple[int, ...]
) -> tuple[Window, Window] | None:
    """Returns the part of a rectangle inside the canvas, in canvas and in own coordinates."""
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + across, shape[1]), min(top + down, shape[0])
    if x0 >= x1 or y0 >= y1:
        return None
    target = (slice(y0, y1), slice(x0, x1))
    return target, (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
