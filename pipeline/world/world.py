"""The rendered world: a street scene with exact ground truth, from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.world.backdrop import paint_backdrop
from pipeline.world.cast import Cast, Placement
from pipeline.world.compositor import Canvas
from pipeline.world.layout import lay_out
from pipeline.world.light import Lighting
from pipeline.world.scenes import SCENES, SPECS
from pipeline.world.sprite import Image
from pipeline.world.truth import MIN_HEIGHT_PX, MIN_VISIBILITY, read_truth


@dataclass(frozen=True, slots=True)
class WorldFrame:
    """One picture and what is in it.

    `image_bgr` is (height, width, 3) uint8; the caller owns it. `boxes_xyxy` (N, 4) float32 source
    pixels is the rectangle around the visible pixels of each object. `ids` (N,) int64 stay with
    their object, `labels` (N,) int32 index LABELS, `visibility` (N,) float32 is 0..1, `colours_bgr`
    (N, 3) uint8 is by daylight, of a vehicle's paint or of the top that somebody wears. Objects
    hardly visible are included; `scored` leaves them out.
    """

    index: int
    image_bgr: NDArray[np.uint8]
    boxes_xyxy: NDArray[np.float32]
    ids: NDArray[np.int64]
    labels: NDArray[np.int32]
    visibility: NDArray[np.float32]
    colours_bgr: NDArray[np.uint8]

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Which objects are scored, (N,) bool; scorers ignore the small and the hidden ones."""
        tall = self.boxes_xyxy[:, 3] - self.boxes_xyxy[:, 1] >= MIN_HEIGHT_PX
        return np.asarray(tall & (self.visibility >= MIN_VISIBILITY))


class World:
    """A street that can be looked at at any moment.

    A frame depends on (scene, seed, width, height, fps, index) alone: the same call gives the same
    bytes, in whatever order frames are asked for. Not for use by several threads at once.

    Raises:
        ValueError: the scene is unknown, or a size or rate is not positive.
    """

    def __init__(
        self,
        scene: str = "day",
        seed: int = 1,
        width: int = 640,
        height: int = 360,
        fps: float = 25.0,
    ) -> None:
        if scene not in SPECS:
            raise ValueError(f"unknown scene {scene!r}; there are {', '.join(SCENES)}")
        if width < 64 or height < 64 or not fps > 0:
            raise ValueError(f"expected at least 64x64 pixels and fps > 0: {width}x{height}, {fps}")
        self.scene, self.seed, self.fps = scene, seed, fps
        self.width, self.height = width, height
        self._layout = lay_out(SPECS[scene], seed, width, height)
        self._cast = Cast(self._layout)
        self._lighting = Lighting(self._layout, self._cast.lamps_px)
        self._ground = self._shadowed(Canvas(paint_backdrop(self._layout)), self._cast.fixtures)

    def render(self, index: int) -> WorldFrame:
        """Returns frame `index`, which shows the moment index / fps.

        Raises:
            ValueError: the index is negative.
        """
        if index < 0:
            raise ValueError(f"expected a frame index of 0 or more, got {index}")
        t_s = index / self.fps
        placed = self._cast.at(t_s)
        canvas = Canvas(self._ground)
        self._shadowed(canvas, [item for item in placed if not item.fixed])
        spots = [(item, canvas.paint(item, order)) for order, item in enumerate(placed, start=1)]
        lit = self._lighting.expose(canvas.bgr, t_s)
        self._lighting.light_headlamps(lit, placed)
        left, top = self._corner(t_s)
        rows, columns = slice(top, top + self.height), slice(left, left + self.width)
        image_bgr = self._lighting.add_noise(lit[rows, columns], index)
        truth = read_truth(canvas.owner[rows, columns], spots, left, top)
        return WorldFrame(
            *(index, image_bgr, truth.boxes_xyxy, truth.ids, truth.labels),
            *(truth.visibility, truth.colours_bgr),
        )

    def _corner(self, t_s: float) -> tuple[int, int]:
        """Returns the canvas column and row at which the shaken picture starts."""
        right, down = self._lighting.shake_px(t_s)
        return self._layout.margin_px + right, self._layout.margin_px + down

    def _shadowed(self, canvas: Canvas, items: list[Placement] | tuple[Placement, ...]) -> Image:
        light = self._layout.spec.light
        for item in items:
            canvas.cast_shadow(item, light.shadow, light.shadow_length)
        return canvas.bgr
