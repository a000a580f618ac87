"""Light, headlights, sensor noise and the shake of the camera."""

from __future__ import annotations

import math

import cv2
import numpy as np

from pipeline.world.cast import Placement
from pipeline.world.chance import between, chance
from pipeline.world.layout import Layout
from pipeline.world.sprite import Image

_UNIT = 128
"""The value of the light map that leaves a pixel unchanged."""
_NOISE_ROOM = 61
"""The noise field is so much larger than the picture, so that each frame can shift it."""


class Lighting:
    """The light of one street, as a function of time and frame."""

    def __init__(self, layout: Layout, lamps_px: list[tuple[float, float, float]]) -> None:
        """Lays the light of `layout`; `lamps_px` holds column, row and reach of street lamps."""
        self._layout = layout
        self._light = layout.spec.light
        rng = chance(*layout.key, 6)
        self._phases = [between(rng, 0.0, 2 * math.pi) for _ in range(6)]
        self._map = self._light_map(lamps_px)
        self._noise = self._noise_field(rng)
        self._glow = _glow_disc(round(layout.ppm * 0.55))

    def gain(self, t_s: float) -> float:
        """Returns the brightness at `t_s` relative to the scene's own."""
        a, b, c = self._phases[:3]
        slow = 0.6 * math.sin(0.55 * t_s + a) + 0.4 * math.sin(1.7 * t_s + b)
        dusk = 0.5 - 0.5 * math.cos(2 * math.pi * t_s / 600 + c)
        return (1.0 + self._light.swing * slow) * (1.0 - self._light.fading * dusk)

    def shake_px(self, t_s: float) -> tuple[int, int]:
        """Returns how far the camera looks aside at `t_s`: columns, rows, within the margin."""
        reach = self._layout.spec.shake_px * self._layout.margin_px / 4
        a, b, c = self._phases[3:]
        right = 0.6 * math.sin(2.3 * t_s + a) + 0.4 * math.sin(7.9 * t_s + b)
        down = 0.6 * math.sin(3.1 * t_s + c) + 0.4 * math.sin(9.7 * t_s + a)
        return round(reach * right), round(reach * down)

    def expose(self, canvas_bgr: Image, t_s: float) -> Image:
        """Returns the canvas as lit at `t_s`."""
        lit = cv2.multiply(canvas_bgr, self._map, scale=self.gain(t_s) / _UNIT)
        return np.asarray(lit, np.uint8)

    def light_headlamps(self, canvas_bgr: Image, placed: list[Placement]) -> None:
        """Adds the glow of the headlamps of everything that drives, in place."""
        if not self._light.lamps:
            return
        for item in placed:
            if item.facing and item.label > 1:
                half = item.sprite.bgra.shape[1] / 2 * item.scale
                tall = item.sprite.bgra.shape[0] * item.scale
                _add(
                    self._glow, canvas_bgr, item.column + item.facing * half, item.row - 0.33 * tall
                )

    def add_noise(self, picture_bgr: Image, index: int) -> Image:
        """Returns the picture with the noise of frame `index`."""
        rng = chance(*self._layout.key, 7, index)
        row, column = (int(part) for part in rng.integers(0, _NOISE_ROOM, 2))
        height, width = picture_bgr.shape[:2]
        noise = self._noise[row : row + height, column : column + width]
        return np.asarray(cv2.addWeighted(picture_bgr, 1.0, noise, 1.0, -_UNIT), np.uint8)

    def _light_map(self, lamps_px: list[tuple[float, float, float]]) -> Image:
        camera = self._layout.camera
        rows, columns = np.mgrid[0 : camera.height, 0 : camera.width].astype(np.float32)
        aside = (columns / camera.width - 0.5) ** 2 + (rows / camera.height - 0.5) ** 2
        light = (1.0 - 0.25 * aside)[..., None] * np.array(self._light.ambient_bgr, np.float32)
        if self._light.lamps:
            for column, row, reach in lamps_px:
                far = ((columns - column) / reach) ** 2 + ((rows - row) / (0.5 * reach)) ** 2
                light += np.exp(-far)[..., None] * np.array((0.22, 0.36, 0.42), np.float32)
        return np.asarray(np.clip(light * _UNIT, 0, 255), np.uint8)

    def _noise_field(self, rng: np.random.Generator) -> Image:
        camera = self._layout.camera
        shape = (camera.height + _NOISE_ROOM, camera.width + _NOISE_ROOM)
        grey = rng.standard_normal((*shape, 1), dtype=np.float32)
        colour = rng.standard_normal((*shape, 3), dtype=np.float32)
        field = (0.8 * grey + 0.6 * colour) * self._light.noise
        return np.asarray(np.clip(np.rint(field) + _UNIT, 0, 255), np.uint8)


def _glow_disc(radius: int) -> Image:
    radius = max(2, radius)
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    fall = np.clip(1.0 - np.hypot(rows, columns) / radius, 0.0, 1.0) ** 2
    return np.asarray(fall[..., None] * np.array((150.0, 205.0, 225.0)), np.uint8)


def _add(glow_bgr: Image, canvas_bgr: Image, column: float, row: float) -> None:
    side = glow_bgr.shape[0]
    left, top = round(column) - side // 2, round(row) - side // 2
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + side, canvas_bgr.shape[1]), min(top + side, canvas_bgr.shape[0])
    if x0 < x1 and y0 < y1:
        target = canvas_bgr[y0:y1, x0:x1]
        cv2.add(target, glow_bgr[y0 - top : y1 - top, x0 - left : x1 - left], dst=target)
