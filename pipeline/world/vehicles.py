"""Vehicles seen from the side, facing right: bicycles with a rider, cars, vans and buses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.world.chance import Bgr, between, from_hsv, pick, shade, vivid
from pipeline.world.people import Wardrobe, dress
from pipeline.world.sprite import Easel, Sprite

WHEEL_PHASES = 8
"""Pictures in one turn of the wheels, or of the pedals."""

Point = tuple[float, float]

_RUBBER: Bgr = (32, 30, 30)
_GLASS: Bgr = (92, 78, 64)
_GLARE: Bgr = (168, 152, 138)

# Outlines in units of length and height, from the front bumper over the roof to the rear.
_BODIES: dict[str, tuple[Point, ...]] = {
    "saloon": ((0.5, 0.2), (0.5, 0.5), (0.28, 0.6), (0.12, 1.0), (-0.2, 1.0), (-0.34, 0.64),
               (-0.5, 0.58), (-0.5, 0.2)),
    "hatch": ((0.5, 0.2), (0.5, 0.52), (0.3, 0.62), (0.14, 1.0), (-0.36, 0.98), (-0.48, 0.6),
              (-0.5, 0.2)),
    "estate": ((0.5, 0.2), (0.5, 0.5), (0.28, 0.6), (0.14, 1.0), (-0.42, 1.0), (-0.5, 0.62),
               (-0.5, 0.2)),
    "van": ((0.5, 0.14), (0.5, 0.42), (0.44, 0.55), (0.32, 0.96), (0.28, 1.0), (-0.5, 1.0),
            (-0.5, 0.14)),
    "bus": ((0.5, 0.1), (0.5, 0.5), (0.49, 0.96), (0.47, 1.0), (-0.5, 1.0), (-0.5, 0.1)),
}  # fmt: skip
_CAR_SHAPES = ("saloon", "hatch", "estate")


@dataclass(frozen=True, slots=True)
class Coachwork:
    """Everything that tells one vehicle from another."""

    kind: str
    shape: str
    length_m: float
    height_m: float
    wheel_m: float
    paint: Bgr
    trim: Bgr
    livery: str
    rider: Wardrobe | None = None


def build(kind: str, rng: np.random.Generator) -> Coachwork:
    """Returns a random vehicle of `kind`: "bicycle", "car", "van" or "bus"."""
    grey = rng.random() < 0.3
    paint = from_hsv(0.0, 0.0, between(rng, 0.15, 0.95)) if grey else vivid(rng)
    trim = vivid(rng)
    if kind == "bicycle":
        return Coachwork(kind, "", 1.75, 1.75, 0.34, paint, trim, "", dress(rng))
    if kind == "car":
        length, height = between(rng, 3.7, 4.8), between(rng, 1.42, 1.68)
        return Coachwork(kind, pick(rng, _CAR_SHAPES), length, height, 0.32, paint, trim, "plain")
    livery = pick(rng, ("plain", "band", "panel"))
    if kind == "van":
        length, height = between(rng, 5.0, 6.0), between(rng, 2.1, 2.5)
        return Coachwork(kind, "van", length, height, 0.34, paint, trim, livery)
    length = between(rng, 9.5, 11.5)
    return Coachwork(kind, "bus", length, between(rng, 2.9, 3.2), 0.48, paint, trim, livery)


def paint_vehicle(coach: Coachwork, phase: int, ppm: float) -> Sprite:
    """Paints the vehicle with its wheels (or pedals) at `phase`, 0..WHEEL_PHASES-1."""
    angle = 2 * math.pi * phase / WHEEL_PHASES
    half = coach.length_m / 2 + 0.1
    tall = 2.0 if coach.kind == "bicycle" else coach.height_m
    easel = Easel(-half, half, tall + 0.1, ppm)
    if coach.rider is not None:
        _paint_bicycle(easel, coach, coach.rider, angle)
        return easel.finish()
    _paint_body(easel, coach)
    _paint_windows(easel, coach)
    _paint_lamps(easel, coach)
    for x in (0.31, -0.31):
        _paint_wheel(easel, x * coach.length_m, coach.wheel_m, angle)
    return easel.finish()


def _outline(coach: Coachwork, shape: tuple[Point, ...]) -> list[Point]:
    return [(x * coach.length_m, y * coach.height_m) for x, y in shape]


def _paint_body(easel: Easel, coach: Coachwork) -> None:
    length, height = coach.length_m, coach.height_m
    body = easel.blank()
    body.polygon(_outline(coach, _BODIES[coach.shape]), coach.paint)
    inside = body.sheet[..., 3] > 0
    sill = shade(coach.paint, 0.62)
    body.box(-length, height * 0.3, length, 0.0, sill)
    roof = shade(coach.paint, 1.25)
    body.box(-length, height, length, height * 0.93, roof)
    if coach.livery == "band":
        body.box(-length, height * 0.46, length, height * 0.34, coach.trim)
    if coach.livery == "panel":
        body.box(-length * 0.42, height * 0.85, length * 0.08, height * 0.4, coach.trim)
    easel.sheet[inside] = body.sheet[inside]


def _paint_windows(easel: Easel, coach: Coachwork) -> None:
    length, height = coach.length_m, coach.height_m
    if coach.kind == "car":
        points = ((0.24, 0.62), (0.11, 0.93), (-0.19, 0.93), (-0.3, 0.64))
        easel.polygon(_outline(coach, points), _GLASS)
        easel.polygon(_outline(coach, ((0.2, 0.66), (0.12, 0.88), (0.05, 0.88))), _GLARE)
        easel.box(-0.02 * length, height * 0.95, 0.0, height * 0.6, shade(coach.paint, 0.8))
        return
    if coach.kind == "van":
        points = ((0.43, 0.58), (0.33, 0.9), (0.2, 0.9), (0.2, 0.56))
        easel.polygon(_outline(coach, points), _GLASS)
        easel.limb((0.17 * length, height * 0.9), (0.17 * length, height * 0.2), 0.04, _RUBBER)
        return
    for step in range(8):
        x = (-0.47 + 0.115 * step) * length
        easel.box(x, height * 0.88, x + 0.1 * length, height * 0.52, _GLASS)
        easel.box(x + 0.01 * length, height * 0.85, x + 0.03 * length, height * 0.6, _GLARE)
    easel.box(0.45 * length, height * 0.9, 0.49 * length, height * 0.45, _GLASS)
    for x in (0.36, -0.05):
        easel.box(x * length, height * 0.88, (x + 0.07) * length, height * 0.14, (70, 62, 56))


def _paint_lamps(easel: Easel, coach: Coachwork) -> None:
    length, height = coach.length_m, coach.height_m
    low = 0.3 if coach.kind == "bus" else 0.42
    easel.box(0.46 * length, height * (low + 0.08), 0.5 * length, height * low, (215, 240, 250))
    easel.box(-0.5 * length, height * (low + 0.08), -0.47 * length, height * low, (40, 40, 205))


def _paint_wheel(easel: Easel, x: float, radius: float, angle: float) -> None:
    easel.disc(x, radius, radius, radius, _RUBBER)
    easel.disc(x, radius, radius * 0.6, radius * 0.6, (150, 150, 155))
    for spoke in range(3):
        turn = angle + spoke * 2 * math.pi / 3
        tip = (x + 0.55 * radius * math.cos(turn), radius - 0.55 * radius * math.sin(turn))
        easel.limb((x, radius), tip, radius * 0.16, (80, 80, 85))


def _paint_bicycle(easel: Easel, coach: Coachwork, rider: Wardrobe, angle: float) -> None:
    saddle, crank, bar, grip = (-0.2, 0.92), (-0.05, 0.32), (0.42, 0.92), (0.4, 1.02)
    for x in (-0.52, 0.52):
        easel.ring(x, coach.wheel_m, coach.wheel_m - 0.03, 0.06, _RUBBER)
        for spoke in range(4):
            turn = angle + spoke * math.pi / 4
            dx, dy = 0.3 * math.cos(turn), 0.3 * math.sin(turn)
            hub = coach.wheel_m
            easel.limb((x - dx, hub + dy), (x + dx, hub - dy), 0.012, (140, 140, 140))
    _paint_pedalling_leg(easel, rider, saddle, crank, angle + math.pi, 0.7)
    frame = ((-0.52, 0.34), crank, (0.38, 0.8), saddle, crank)
    for start, end in pairwise(frame):
        easel.limb(start, end, 0.05, coach.paint)
    for start, end in (((-0.52, 0.34), (-0.17, 0.75)), ((0.52, 0.34), bar), (bar, grip)):
        easel.limb(start, end, 0.05, coach.paint)
    _paint_pedalling_leg(easel, rider, saddle, crank, angle, 1.0)
    easel.limb((-0.17, 1.02), (0.1, 1.45), 0.28 * rider.girth, rider.top)
    easel.limb((-0.1, 1.13), (0.02, 1.32), 0.24 * rider.girth, rider.second)
    if rider.bag:
        easel.disc(-0.17, 1.32, 0.11, 0.2, rider.bag, turn=30)
    easel.limb((0.1, 1.45), (0.28, 1.2), 0.1, shade(rider.top, 0.85))
    easel.limb((0.28, 1.2), grip, 0.08, rider.skin)
    easel.disc(0.2, 1.64, 0.1, 0.125, rider.skin)
    easel.disc(0.18, 1.71, 0.12, 0.08, rider.hat or rider.hair)


def _paint_pedalling_leg(
    easel: Easel, rider: Wardrobe, hip: Point, crank: Point, angle: float, light: float
) -> None:
    foot = (crank[0] + 0.17 * math.cos(angle), crank[1] - 0.17 * math.sin(angle))
    reach = math.dist(hip, foot)
    # Two bones of 0.42 m meet at the knee, which bends forward.
    bulge = math.sqrt(max(0.0, 0.42**2 - (reach / 2) ** 2))
    along = ((foot[0] - hip[0]) / reach, (foot[1] - hip[1]) / reach)
    middle = ((hip[0] + foot[0]) / 2, (hip[1] + foot[1]) / 2)
    knee = (middle[0] - bulge * along[1], middle[1] + bulge * along[0])
    easel.limb(hip, knee, 0.16 * rider.girth, shade(rider.legs, light))
    bare = rider.shorts or rider.skirt
    easel.limb(knee, foot, 0.11, shade(rider.skin if bare else rider.legs, light))
    easel.limb(foot, (foot[0] + 0.12, foot[1]), 0.08, shade(rider.shoes, light))
