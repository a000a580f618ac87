"""Where one seed puts the camera, the crossing, the side street and what stands still."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from pipeline.world.camera import GroundCamera
from pipeline.world.chance import between, chance
from pipeline.world.scenes import SceneSpec

NEAREST_M = 10.3
"""Depth of the ground at the lower edge of the picture."""
KERB_NEAR_M = 12.6
KERB_FAR_M = 22.0
PARKING_M = 20.9
"""Depth of the parked cars."""
FACADE_M = 33.0
"""Depth of the house fronts."""
CROSSING_HALF_M = 1.6
SIDE_STREET_HALF_M = 3.6


@dataclass(frozen=True, slots=True)
class Layout:
    """The street of one scene and seed. `key` seeds everything drawn from it."""

    spec: SceneSpec
    key: tuple[int, int]
    camera: GroundCamera
    margin_px: int
    ppm: float
    """Pixels per metre sprites are drawn at: that of the nearest object."""
    crossing_x_m: float
    side_street_x_m: float
    bus_stop_x_m: float


def lay_out(spec: SceneSpec, seed: int, width: int, height: int) -> Layout:
    """Returns the street that `seed` makes of `spec`, for a picture of width x height pixels."""
    key = (zlib.crc32(spec.name.encode()), seed)
    rng = chance(*key, 1)
    unit = height / 360
    margin = max(1, round(4 * unit))
    focal, mount = between(rng, 570, 640) * unit, between(rng, 7.0, 7.6)
    # The horizon lies above the picture: its lower edge shows the ground at NEAREST_M.
    horizon = margin + height - focal * mount / NEAREST_M
    camera = GroundCamera(width + 2 * margin, height + 2 * margin, focal, horizon, mount)
    side = 1.0 if rng.random() < 0.5 else -1.0
    return Layout(
        spec=spec,
        key=key,
        camera=camera,
        margin_px=margin,
        ppm=camera.scale(NEAREST_M),
        crossing_x_m=side * between(rng, 0.5, 4.0),
        side_street_x_m=-side * between(rng, 1.0, 6.0),
        bus_stop_x_m=side * between(rng, 6.5, 9.0),
    )
