"""Vehicles in their lanes, and the lights that let people cross."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.world.chance import between, chance, pick
from pipeline.world.layout import Layout
from pipeline.world.scenes import Lane
from pipeline.world.vehicles import Coachwork, build

CYCLE_S = 24.0
"""One round of the lights: flow 13 s, brake 2 s, stand 6 s, speed up 2 s, flow 1 s."""
_BRAKE_S, _STAND_S, _GO_S = 13.0, 15.0, 21.0
_STOP_FLOW_S = 14.0
"""Seconds of free flow that equal the way driven from the start of a cycle to standing still."""
_CYCLE_FLOW_S = 16.0
_LONGEST_M = 12.0


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One vehicle in one lane; `place` counts the lane's places from the front."""

    lane: Lane
    place: int
    lag_m: float
    coach: Coachwork


def flow_s(t_s: float) -> float:
    """Returns the seconds of free flow that drive as far as the lights let one drive until `t_s`.

    The speed is 1 in flow, ramps to 0 over two seconds, stays there, and ramps up again.
    """
    cycle, t = divmod(t_s, CYCLE_S)
    done = cycle * _CYCLE_FLOW_S
    if t < _BRAKE_S:
        return done + t
    if t < _STAND_S:
        braking = t - _BRAKE_S
        return done + _BRAKE_S + braking - braking**2 / 4
    if t < _GO_S:
        return done + _STOP_FLOW_S
    speeding = min(t - _GO_S, 2.0)
    return done + _STOP_FLOW_S + speeding**2 / 4 + max(0.0, t - _GO_S - 2.0)


def next_walk_s(t_s: float) -> float:
    """Returns the first moment at or after `t_s` at which the lights let one start to cross."""
    cycle, t = divmod(t_s, CYCLE_S)
    if t <= _STAND_S:
        return cycle * CYCLE_S + _STAND_S
    return t_s if t < _STAND_S + 1.2 else (cycle + 1) * CYCLE_S + _STAND_S


def progress_m(lane: Lane, t_s: float) -> float:
    """Returns how far the lane has moved at `t_s`, metres."""
    if not lane.stops:
        return lane.speed_mps * t_s
    # Measured from the standstill, when the places lie on either side of the crossing.
    return lane.speed_mps * (flow_s(t_s) - _STOP_FLOW_S) - lane.slot_m / 2


def places_in_view(layout: Layout, lane: Lane, t_s: float) -> Iterator[int]:
    """Yields the places of `lane` that may be in the picture at `t_s`."""
    reach = layout.camera.half_width_m(lane.z_m) + _LONGEST_M
    ahead = reach + abs(layout.crossing_x_m)
    moved = progress_m(lane, t_s)
    first = math.ceil((moved - ahead) / lane.slot_m)
    last = math.floor((moved + ahead) / lane.slot_m)
    yield from range(first, last + 1)


def vehicle_at(layout: Layout, lane_index: int, place: int) -> Vehicle | None:
    """Returns the vehicle at a place of a lane, or None where the place is free."""
    lane = layout.spec.lanes[lane_index]
    rng = chance(*layout.key, 2, lane_index, place)
    if rng.random() >= lane.filled:
        return None
    kind = pick(rng, lane.kinds)
    slack = 0.6 if lane.stops else lane.slot_m * 0.3
    return Vehicle(lane, place, between(rng, -slack, slack), build(kind, rng))


def position_m(layout: Layout, vehicle: Vehicle, t_s: float) -> float:
    """Returns the vehicle's x at `t_s`, metres."""
    lane = vehicle.lane
    ahead = progress_m(lane, t_s) - vehicle.place * lane.slot_m - vehicle.lag_m
    return layout.crossing_x_m + lane.direction * ahead
