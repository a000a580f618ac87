"""Who and what is in the street at a moment, each with the picture to paint and the place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

from pipeline.world.chance import Bgr
from pipeline.world.fixtures import Fixture, furnish
from pipeline.world.layout import Layout
from pipeline.world.people import PHASES, STANDING, STRIDE_M, Wardrobe, paint_person
from pipeline.world.scenes import LABELS
from pipeline.world.sprite import Sprite, mirrored
from pipeline.world.traffic import Vehicle, places_in_view, position_m, vehicle_at
from pipeline.world.vehicles import WHEEL_PHASES, Coachwork, paint_vehicle
from pipeline.world.walkers import Walker, appearances, company_at

_EARLIEST = 256
"""Added to the numbers of appearances and places, which may be negative at the start."""


@dataclass(frozen=True, slots=True)
class Placement:
    """One sprite at its place in one frame."""

    sprite: Sprite
    column: float
    """Canvas column of the foot, pixels."""
    row: float
    """Canvas row of the foot, pixels."""
    scale: float
    """Canvas pixels per sprite pixel; exactly 1 for what never moves."""
    z_m: float
    label: int = -1
    """Index into LABELS, or -1 for what has no ground truth."""
    colour: Bgr = (0, 0, 0)
    """Of what has ground truth, by daylight: a vehicle's paint, the top that somebody wears."""
    track_id: int = 0
    facing: int = 0
    """+1 or -1 for a vehicle that drives right or left, whose headlights may be lit."""
    fixed: bool = False
    """Whether it never moves."""


class Cast:
    """All actors of one street. What it keeps is a cache only: answers depend on the time alone."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._company = lru_cache(maxsize=1024)(partial(company_at, layout))
        self._vehicle = lru_cache(maxsize=256)(partial(vehicle_at, layout))
        self._person_sprite = lru_cache(maxsize=1200)(_person_sprite)
        self._vehicle_sprite = lru_cache(maxsize=200)(_vehicle_sprite)
        things = furnish(layout)
        self.fixtures = tuple(self._fixtures(things))
        self.lamps_px = [self._lamp_px(thing) for thing in things if thing.lamp_m]
        """Column, row and reach in pixels of the light each street lamp throws on the ground."""

    def at(self, t_s: float) -> list[Placement]:
        """Returns all placements at `t_s`, the farthest first."""
        placed = [*self.fixtures, *self._walkers(t_s), *self._vehicles(t_s)]
        return sorted(placed, key=lambda item: (-item.z_m, item.track_id))

    def _fixtures(self, things: tuple[Fixture, ...]) -> Iterator[Placement]:
        camera = self._layout.camera
        for number, thing in enumerate(things, start=1):
            column, row = camera.project(thing.x_m, thing.z_m)
            track_id = number if thing.label >= 0 else 0
            yield Placement(
                *(thing.sprite, column, row, 1.0, thing.z_m, thing.label, thing.paint, track_id),
                fixed=True,
            )

    def _lamp_px(self, thing: Fixture) -> tuple[float, float, float]:
        column, row = self._layout.camera.project(thing.x_m, thing.z_m, 0.8)
        return column, row, 3.5 * self._layout.camera.scale(thing.z_m)

    def _walkers(self, t_s: float) -> Iterator[Placement]:
        for index, stream in enumerate(self._layout.spec.walks):
            for number in appearances(stream, t_s):
                for walker in self._company(index, number):
                    if walker.path.covers(t_s):
                        yield self._walker(
                            walker, t_s, self._track_id(index, number, walker.member)
                        )

    def _walker(self, walker: Walker, t_s: float, track_id: int) -> Placement:
        x, z, vx, vz, walked = walker.path.at(t_s)
        view, flip = _view(vx, vz)
        phase = STANDING
        if vx or vz:
            stride = STRIDE_M * walker.who.height_m / 1.75
            phase = int(walked / stride * PHASES) % PHASES
        camera = self._layout.camera
        ppm = min(self._layout.ppm, camera.scale(walker.nearest_m))
        sprite = self._person_sprite(walker.who, view, flip, phase, ppm)
        column, row = camera.project(x, z)
        scale = camera.scale(z) / ppm
        return Placement(sprite, column, row, scale, z, 0, walker.who.top, track_id)

    def _vehicles(self, t_s: float) -> Iterator[Placement]:
        for index, lane in enumerate(self._layout.spec.lanes):
            for place in places_in_view(self._layout, lane, t_s):
                vehicle = self._vehicle(index, place)
                if vehicle is not None:
                    source = len(self._layout.spec.walks) + index
                    yield self._driver(vehicle, t_s, self._track_id(source, place, 0))

    def _driver(self, vehicle: Vehicle, t_s: float, track_id: int) -> Placement:
        lane, coach = vehicle.lane, vehicle.coach
        x = position_m(self._layout, vehicle, t_s)
        # A pedal turns slower than a wheel.
        turn = (6.0 if coach.kind == "bicycle" else 2 * math.pi) * coach.wheel_m
        phase = int(x * lane.direction / turn * WHEEL_PHASES) % WHEEL_PHASES
        camera = self._layout.camera
        ppm = camera.scale(lane.z_m)
        sprite = self._vehicle_sprite(coach, phase, ppm, lane.direction < 0)
        column, row = camera.project(x, lane.z_m)
        label, colour = LABELS.index(coach.kind), coach.rider.top if coach.rider else coach.paint
        return Placement(
            sprite, column, row, 1.0, lane.z_m, label, colour, track_id, lane.direction
        )

    def _track_id(self, source: int, number: int, member: int) -> int:
        sources = len(self._layout.spec.walks) + len(self._layout.spec.lanes)
        return 1000 + ((number + _EARLIEST) * sources + source) * 4 + member


def _view(vx: float, vz: float) -> tuple[str, bool]:
    """Returns the view of somebody walking with this velocity, and whether to mirror it."""
    if abs(vx) >= 0.8 * abs(vz) and vx:
        return "side", vx < 0
    return ("back" if vz > 0 else "front"), False


def _person_sprite(who: Wardrobe, view: str, flip: bool, phase: int, ppm: float) -> Sprite:
    sprite = paint_person(who, view, phase, ppm)
    return mirrored(sprite) if flip else sprite


def _vehicle_sprite(coach: Coachwork, phase: int, ppm: float, flip: bool) -> Sprite:
    sprite = paint_vehicle(coach, phase, ppm)
    return mirrored(sprite) if flip else sprite
