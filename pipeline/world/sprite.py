"""Small pictures with an alpha channel, drawn large once and placed at any size afterwards."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.world.chance import Bgr

Image = NDArray[np.uint8]

OVERSAMPLING = 2
"""Sprites are drawn this much larger and averaged down, which smooths their edges."""


@dataclass(frozen=True)
class Sprite:
    """A picture standing on the ground.

    `bgra` is (h, w, 4) uint8, BGR premultiplied by alpha. `foot` is the (column, row) of the ground
    point, `ppm` the sprite's own pixels per metre.
    """

    bgra: Image
    foot: tuple[float, float]
    ppm: float

    @cached_property
    def levels(self) -> tuple[Image, ...]:
        """The picture at 1, 1/2, 1/4 … of its size: sampling the nearest one avoids aliasing."""
        levels = [self.bgra]
        while min(levels[-1].shape[:2]) >= 8 and len(levels) < 4:
            levels.append(_halved(levels[-1]))
        return tuple(levels)


def _halved(image: Image) -> Image:
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_CONSTANT)
    size = (padded.shape[1] // 2, padded.shape[0] // 2)
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), np.uint8)


class Easel:
    """A transparent sheet measured in metres: x to the right of the foot, y up from the ground."""

    def __init__(self, left_m: float, right_m: float, top_m: float, ppm: float) -> None:
        self._ppm = ppm * OVERSAMPLING
        self._left_m, self._top_m = left_m, top_m
        columns = self._even((right_m - left_m) * self._ppm)
        rows = self._even((top_m + 0.08) * self._ppm)
        self.sheet: Image = np.zeros((rows, columns, 4), np.uint8)

    def blank(self) -> Easel:
        """Returns an empty sheet of the same size and place, to cut a shape out of."""
        sheet = copy(self)
        sheet.sheet = np.zeros_like(self.sheet)
        return sheet

    @staticmethod
    def _even(pixels: float) -> int:
        return OVERSAMPLING * max(2, round(pixels / OVERSAMPLING))

    def at(self, x: float, y: float) -> tuple[int, int]:
        """Returns the sheet pixel of a point in metres."""
        return round((x - self._left_m) * self._ppm), round((self._top_m - y) * self._ppm)

    def px(self, metres: float) -> int:
        """Returns a length in whole sheet pixels, at least 1."""
        return max(1, round(metres * self._ppm))

    def polygon(self, points: list[tuple[float, float]], colour: Bgr, alpha: int = 255) -> None:
        """Fills a polygon given in metres."""
        corners = np.array([self.at(x, y) for x, y in points], np.int32)
        cv2.fillPoly(self.sheet, [corners], _ink(colour, alpha))

    def box(
        self, x0: float, y0: float, x1: float, y1: float, colour: Bgr, alpha: int = 255
    ) -> None:
        """Fills an upright rectangle given in metres."""
        cv2.rectangle(self.sheet, self.at(x0, y0), self.at(x1, y1), _ink(colour, alpha), -1)

    def limb(self, p: tuple[float, float], q: tuple[float, float], width: float, c: Bgr) -> None:
        """Draws a line of `width` metres with round ends."""
        cv2.line(self.sheet, self.at(*p), self.at(*q), _ink(c, 255), self.px(width))

    def disc(self, x: float, y: float, rx: float, ry: float, colour: Bgr, turn: float = 0) -> None:
        """Fills an ellipse with half axes in metres, turned by `turn` degrees."""
        axes = (self.px(rx), self.px(ry))
        cv2.ellipse(self.sheet, self.at(x, y), axes, turn, 0, 360, _ink(colour, 255), -1)

    def ring(self, x: float, y: float, radius: float, width: float, colour: Bgr) -> None:
        """Draws a circle line."""
        centre = self.at(x, y)
        cv2.circle(self.sheet, centre, self.px(radius), _ink(colour, 255), self.px(width))

    def finish(self, side_light: float = 0.0) -> Sprite:
        """Returns the sheet as a sprite; `side_light` shades it from one side to the other."""
        rows, columns = self.sheet.shape[:2]
        size = (columns // OVERSAMPLING, rows // OVERSAMPLING)
        bgra = cv2.resize(self.sheet, size, interpolation=cv2.INTER_AREA)
        if side_light:
            ramp = np.linspace(1.0 - side_light, 1.0, size[0], dtype=np.float32)[None, :, None]
            bgra[..., :3] = (bgra[..., :3] * ramp).astype(np.uint8)
        ppm = self._ppm / OVERSAMPLING
        # Less to blend: what is painted per frame is the figure, not the empty sheet around it.
        x, y, width, height = cv2.boundingRect(np.ascontiguousarray(bgra[..., 3]))
        figure = np.array(bgra[y : y + height, x : x + width], np.uint8)
        return Sprite(figure, (-self._left_m * ppm - x, self._top_m * ppm - y), ppm)


def _ink(colour: Bgr, alpha: int) -> tuple[int, int, int, int]:
    """Returns the premultiplied BGRA of a colour."""
    b, g, r = (part * alpha // 255 for part in colour)
    return b, g, r, alpha


def mirrored(sprite: Sprite) -> Sprite:
    """Returns the sprite facing the other way."""
    flipped = np.ascontiguousarray(sprite.bgra[:, ::-1])
    column, row = sprite.foot
    return Sprite(flipped, (flipped.shape[1] - column, row), sprite.ppm)
