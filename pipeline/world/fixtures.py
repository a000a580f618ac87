"""What stands still in the street and hides what is behind it: trees, posts, shelter, planters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pipeline.world.chance import Bgr, between, chance
from pipeline.world.layout import (
    CROSSING_HALF_M,
    KERB_FAR_M,
    KERB_NEAR_M,
    PARKING_M,
    Layout,
)
from pipeline.world.sprite import Easel, Sprite
from pipeline.world.vehicles import build, paint_vehicle


@dataclass(frozen=True, slots=True)
class Fixture:
    """A thing that never moves; `label` is -1 unless it is an object with ground truth."""

    sprite: Sprite
    x_m: float
    z_m: float
    label: int = -1
    lamp_m: float = 0.0
    """Height of its lamp above the ground; 0 without one."""
    paint: Bgr = (0, 0, 0)
    """Of a vehicle."""


def furnish(layout: Layout) -> tuple[Fixture, ...]:
    """Returns everything that stands in the street of `layout`."""
    rng = chance(*layout.key, 5)
    things = [_bus_stop(layout)]
    things += _row(layout, rng, _tree, KERB_NEAR_M - 0.5, spacing_m=7.5, filled=0.5)
    things += _row(layout, rng, _tree, KERB_FAR_M + 0.5, spacing_m=7.0, filled=0.6)
    things += _row(layout, rng, _lamp_post, KERB_NEAR_M - 0.2, spacing_m=9.0, filled=0.75)
    things += _row(layout, rng, _planter, KERB_NEAR_M - 0.9, spacing_m=6.0, filled=0.35)
    things += _row(layout, rng, _advert, KERB_FAR_M + 3.0, spacing_m=11.0, filled=0.5)
    if not layout.spec.plaza:
        things += _parked(layout, rng)
    return tuple(things)


def _row(
    layout: Layout,
    rng: np.random.Generator,
    make: Callable[[Layout, np.random.Generator, float], Fixture],
    z_m: float,
    spacing_m: float,
    filled: float,
) -> list[Fixture]:
    """Returns things of one kind along the street, none of them on the crossing."""
    reach = layout.camera.half_width_m(z_m) + spacing_m
    row, x = [], -reach + between(rng, 0.0, spacing_m)
    while x < reach:
        place = x + between(rng, -0.2, 0.2) * spacing_m
        free = abs(place - layout.crossing_x_m) > CROSSING_HALF_M + 0.5
        if rng.random() < filled and free:
            row.append(replace(make(layout, rng, z_m), x_m=place))
        x += spacing_m
    return row


def _tree(layout: Layout, rng: np.random.Generator, z_m: float) -> Fixture:
    easel = Easel(-1.7, 1.7, 5.4, layout.camera.scale(z_m))
    bark = (50, 66, 84)
    easel.limb((0.0, 0.05), (0.03, 3.0), 0.24, bark)
    easel.limb((0.02, 2.4), (0.6, 3.4), 0.1, bark)
    easel.limb((0.02, 2.5), (-0.6, 3.5), 0.1, bark)
    for step in range(46):
        x, y = between(rng, -1.0, 1.0), between(rng, 3.0, 4.9)
        light = 0.55 + 0.25 * (y - 3.0) + between(rng, -0.12, 0.12)
        leaf = (round(45 * light), round(125 * light), round(72 * light))
        easel.disc(x * (1.15 - 0.1 * step / 46), y, 0.34, 0.27, leaf)
    return Fixture(easel.finish(), 0.0, z_m)


def _lamp_post(layout: Layout, rng: np.random.Generator, z_m: float) -> Fixture:
    easel = Easel(-0.6, 0.6, 5.2, layout.camera.scale(z_m))
    metal = (74, 78, 72)
    easel.limb((0.0, 0.05), (0.0, 4.9), 0.13, metal)
    easel.limb((0.0, 0.05), (0.0, 0.7), 0.22, metal)
    easel.limb((0.0, 4.9), (0.35, 5.0), 0.1, metal)
    easel.disc(0.4, 4.95, 0.2, 0.09, (200, 225, 235))
    return Fixture(easel.finish(), 0.0, z_m, lamp_m=4.9)


def _planter(layout: Layout, rng: np.random.Generator, z_m: float) -> Fixture:
    half = between(rng, 0.5, 0.9)
    easel = Easel(-half - 0.2, half + 0.2, 1.2, layout.camera.scale(z_m))
    for _ in range(26):
        light = between(rng, 0.5, 1.1)
        leaf = (round(50 * light), round(130 * light), round(80 * light))
        easel.disc(between(rng, -half, half), between(rng, 0.5, 0.8), 0.18, 0.16, leaf)
    easel.box(-half, 0.5, half, 0.0, (118, 124, 130))
    easel.box(-half, 0.5, half, 0.44, (150, 156, 160))
    return Fixture(easel.finish(), 0.0, z_m)


def _advert(layout: Layout, rng: np.random.Generator, z_m: float) -> Fixture:
    easel = Easel(-0.8, 0.8, 2.6, layout.camera.scale(z_m))
    poster = (
        round(between(rng, 60, 230)),
        round(between(rng, 60, 230)),
        round(between(rng, 60, 230)),
    )
    easel.box(-0.65, 2.4, 0.65, 0.25, (60, 60, 62))
    easel.box(-0.56, 2.3, 0.56, 0.4, poster)
    easel.disc(0.0, 1.5, 0.35, 0.5, (poster[1], poster[2], poster[0]))
    easel.box(-0.45, 0.75, 0.45, 0.6, (240, 240, 240))
    return Fixture(easel.finish(), 0.0, z_m)


def _bus_stop(layout: Layout) -> Fixture:
    z_m = KERB_FAR_M + 0.35
    easel = Easel(-2.2, 2.2, 2.7, layout.camera.scale(z_m))
    easel.box(-2.0, 2.3, 2.0, 0.3, (150, 140, 120), alpha=70)
    for x in (-2.0, 0.0, 2.0):
        easel.limb((x, 0.0), (x, 2.4), 0.09, (70, 70, 74))
    easel.box(-2.15, 2.62, 2.15, 2.4, (88, 74, 60))
    easel.box(1.1, 1.9, 1.9, 0.6, (60, 150, 215))
    return Fixture(easel.finish(), layout.bus_stop_x_m, z_m)


def _parked(layout: Layout, rng: np.random.Generator) -> list[Fixture]:
    parked, reach = [], layout.camera.half_width_m(PARKING_M) + 3.0
    x = -reach + between(rng, 0.0, 3.0)
    while x < reach:
        clear = CROSSING_HALF_M + 3.0
        free = abs(x - layout.crossing_x_m) < clear or abs(x - layout.bus_stop_x_m) < 5.0
        if not free and rng.random() < 0.5:
            kind, label = ("van", 3) if rng.random() < 0.15 else ("car", 2)
            coach = build(kind, rng)
            sprite = paint_vehicle(coach, 0, layout.camera.scale(PARKING_M))
            parked.append(Fixture(sprite, x, PARKING_M, label, paint=coach.paint))
        x += between(rng, 5.9, 7.5)
    return parked
