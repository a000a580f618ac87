"""The street itself: house fronts, side street, pavements, road and zebra crossing."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from pipeline.world.chance import Bgr, between, chance, from_hsv, shade
from pipeline.world.layout import (
    CROSSING_HALF_M,
    FACADE_M,
    KERB_FAR_M,
    KERB_NEAR_M,
    SIDE_STREET_HALF_M,
    Layout,
)
from pipeline.world.sprite import Image

_SHIFT = 4
"""Fractional bits of the corner coordinates given to OpenCV."""
_ASPHALT: Bgr = (92, 90, 88)
_PAVING: Bgr = (142, 150, 156)
_WHITE: Bgr = (205, 210, 212)

Corner = tuple[float, float, float]


def paint_backdrop(layout: Layout) -> Image:
    """Returns the empty street, (canvas height, canvas width, 3) uint8 BGR."""
    camera = layout.camera
    rng = chance(*layout.key, 8)
    picture: Image = np.full((camera.height, camera.width, 3), (225, 205, 185), np.uint8)
    _paint_ground(picture, layout)
    _paint_houses(picture, layout, rng)
    _paint_side_street(picture, layout)
    grain = rng.standard_normal((camera.height, camera.width, 1), dtype=np.float32)
    soft = cv2.GaussianBlur(grain, (0, 0), 1.2)[..., None] * 9.0 + grain * 2.0
    return np.clip(picture + soft, 0, 255).astype(np.uint8)


def _fill(picture: Image, layout: Layout, corners: list[Corner], colour: Bgr) -> None:
    """Fills a polygon whose corners are x, z and height, metres."""
    points = [layout.camera.project(x, z, up) for x, z, up in corners]
    fixed = np.rint(np.array(points) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(picture, [fixed], colour, cv2.LINE_AA, _SHIFT)


def _strip(picture: Image, layout: Layout, z0: float, z1: float, colour: Bgr) -> None:
    reach = layout.camera.half_width_m(z1) + 1.0
    _fill(
        picture, layout, [(-reach, z0, 0), (reach, z0, 0), (reach, z1, 0), (-reach, z1, 0)], colour
    )


def _paint_ground(picture: Image, layout: Layout) -> None:
    _strip(picture, layout, 7.0, 60.0, _PAVING)
    _paint_slabs(picture, layout, 8.0, KERB_NEAR_M, 1.2)
    _paint_slabs(picture, layout, KERB_FAR_M, FACADE_M, 1.6)
    if layout.spec.plaza:
        _paint_slabs(picture, layout, KERB_NEAR_M, KERB_FAR_M, 1.4)
    else:
        _paint_road(picture, layout)
    _paint_zebra(picture, layout)


def _paint_slabs(picture: Image, layout: Layout, z0: float, z1: float, size: float) -> None:
    rng = chance(*layout.key, 9, round(z0 * 10))
    depths = np.arange(z0, z1 + 0.01, size)
    for near, far in pairwise(depths):
        reach = layout.camera.half_width_m(float(far)) + size
        for x in np.arange(-reach, reach, size):
            tone = shade(_PAVING, between(rng, 0.9, 1.06))
            slab = [(x, near, 0), (x + size, near, 0), (x + size, far, 0), (x, far, 0)]
            _fill(picture, layout, [(float(a), float(b), 0.0) for a, b, _ in slab], tone)


def _paint_road(picture: Image, layout: Layout) -> None:
    _strip(picture, layout, KERB_NEAR_M, KERB_FAR_M, _ASPHALT)
    for z in (KERB_NEAR_M, KERB_FAR_M - 0.3):
        _strip(picture, layout, z, z + 0.3, (176, 182, 186))
    for z in (13.75, 19.95):
        _strip(picture, layout, z, z + 0.12, _WHITE)
    reach = layout.camera.half_width_m(16.3) + 2.0
    for x in np.arange(-reach, reach, 3.0):
        dash = [(x, 16.2, 0.0), (x + 1.4, 16.2, 0.0), (x + 1.4, 16.38, 0.0), (x, 16.38, 0.0)]
        _fill(picture, layout, [(float(a), b, c) for a, b, c in dash], _WHITE)


def _paint_zebra(picture: Image, layout: Layout) -> None:
    left = layout.crossing_x_m - CROSSING_HALF_M
    right = layout.crossing_x_m + CROSSING_HALF_M
    for z in np.arange(KERB_NEAR_M + 0.4, KERB_FAR_M - 0.4, 1.05):
        near, far = float(z), float(z) + 0.55
        bar = [(left, near, 0.0), (right, near, 0.0), (right, far, 0.0), (left, far, 0.0)]
        _fill(picture, layout, bar, _WHITE)


def _paint_houses(picture: Image, layout: Layout, rng: np.random.Generator) -> None:
    reach = layout.camera.half_width_m(FACADE_M) + 1.0
    x = -reach
    while x < reach:
        width = between(rng, 5.0, 9.0)
        wall = from_hsv(between(rng, 0.02, 0.14), between(rng, 0.1, 0.5), between(rng, 0.5, 0.85))
        _paint_house(picture, layout, rng, (x, x + width), wall)
        x += width


def _paint_house(
    picture: Image, layout: Layout, rng: np.random.Generator, span: tuple[float, float], wall: Bgr
) -> None:
    _front(picture, layout, span, (0.0, 12.0), wall)
    _front(picture, layout, span, (0.0, 0.6), shade(wall, 0.7))
    lit = layout.spec.light.lamps
    for storey in range(3):
        low = 1.0 + 3.1 * storey
        for x in np.arange(span[0] + 0.6, span[1] - 1.4, 1.9):
            glass: Bgr = (110, 200, 235) if lit and rng.random() < 0.4 else (96, 84, 72)
            left = float(x)
            _front(
                picture, layout, (left - 0.1, left + 1.3), (low - 0.1, low + 1.8), shade(wall, 1.2)
            )
            _front(picture, layout, (left, left + 1.2), (low, low + 1.7), glass)
    if rng.random() < 0.6:
        awning = from_hsv(float(rng.random()), 0.6, 0.7)
        _front(picture, layout, (span[0] + 0.5, span[1] - 0.5), (2.55, 3.3), awning)
    door = between(rng, span[0] + 0.8, span[1] - 2.0)
    _front(picture, layout, (door, door + 1.1), (0.0, 2.3), shade(from_hsv(0.07, 0.6, 0.4), 0.9))


def _front(
    picture: Image, layout: Layout, span: tuple[float, float], ups: tuple[float, float], c: Bgr
) -> None:
    (x0, x1), (low, high) = span, ups
    z = FACADE_M
    _fill(picture, layout, [(x0, z, low), (x1, z, low), (x1, z, high), (x0, z, high)], c)


def _paint_side_street(picture: Image, layout: Layout) -> None:
    """Opens a street between the houses, seen down its length."""
    x, half, near, far = layout.side_street_x_m, SIDE_STREET_HALF_M, FACADE_M, 70.0
    left, right = x - half, x + half
    _front(picture, layout, (left, right), (0.0, 12.0), (214, 198, 182))
    floor = [(left, near, 0.0), (right, near, 0.0), (right, far, 0.0), (left, far, 0.0)]
    _fill(picture, layout, floor, shade(_PAVING, 0.9))
    for side, tone in ((left, 0.62), (right, 0.78)):
        wall = [(side, near, 0.0), (side, far, 0.0), (side, far, 12.0), (side, near, 12.0)]
        _fill(picture, layout, wall, shade((140, 160, 178), tone))
        for z in np.arange(near + 2, far - 3, 4.0):
            a, b = float(z), float(z) + 1.6
            pane = [(side, a, 1.2), (side, b, 1.2), (side, b, 2.9), (side, a, 2.9)]
            _fill(picture, layout, pane, (92, 84, 74))
