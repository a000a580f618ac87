"""Lights, lanes and ways on foot: pure functions of the time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pipeline.world.layout import lay_out
from pipeline.world.scenes import SPECS
from pipeline.world.traffic import (
    CYCLE_S,
    flow_s,
    next_walk_s,
    places_in_view,
    position_m,
    progress_m,
    vehicle_at,
)
from pipeline.world.walkers import LONGEST_STAY_S, appearances, company_at


def test_traffic_flows_stands_and_never_goes_back() -> None:
    times = np.arange(0.0, 3 * CYCLE_S, 0.05)
    way = np.array([flow_s(float(t)) for t in times])
    steps = np.diff(way)
    assert (steps >= -1e-9).all()
    assert steps.max() <= 0.0501
    standing = (times[:-1] % CYCLE_S > 15.01) & (times[:-1] % CYCLE_S < 20.9)
    assert np.abs(steps[standing]).max() < 1e-9


@pytest.mark.parametrize("t_s", [0.0, 7.3, 14.9, 15.5, 16.5, 23.0, 40.2])
def test_people_set_out_only_while_traffic_stands(t_s: float) -> None:
    start = next_walk_s(t_s)
    assert start >= t_s
    assert 15.0 <= start % CYCLE_S <= 16.2


@pytest.mark.parametrize("scene", SPECS)
def test_lanes_are_free_of_collisions(scene: str) -> None:
    layout = lay_out(SPECS[scene], 1, 640, 360)
    for number, lane in enumerate(layout.spec.lanes):
        for t_s in (0.0, 12.3, 18.0):
            found = [vehicle_at(layout, number, k) for k in places_in_view(layout, lane, t_s)]
            spans = sorted(
                (position_m(layout, v, t_s), v.coach.length_m) for v in found if v is not None
            )
            for (x0, length0), (x1, length1) in itertools.pairwise(spans):
                assert x1 - x0 > (length0 + length1) / 2


def test_nobody_stands_on_the_crossing() -> None:
    layout = lay_out(SPECS["day"], 1, 640, 360)
    for number, lane in enumerate(layout.spec.lanes):
        if lane.stops:
            for place in places_in_view(layout, lane, 18.0):
                vehicle = vehicle_at(layout, number, place)
                if vehicle is not None:
                    gap = abs(position_m(layout, vehicle, 18.0) - layout.crossing_x_m)
                    assert gap > vehicle.coach.length_m / 2
            assert progress_m(lane, 17.0) == progress_m(lane, 18.0)


@pytest.mark.parametrize("scene", SPECS)
def test_ways_are_continuous_and_fit_the_longest_stay(scene: str) -> None:
    layout = lay_out(SPECS[scene], 5, 640, 360)
    for index, stream in enumerate(layout.spec.walks):
        for number in appearances(stream, 200.0):
            for walker in company_at(layout, index, number):
                path = walker.path
                assert path.times_s[-1] - path.times_s[0] < LONGEST_STAY_S
                assert all(b > a for a, b in itertools.pairwise(path.times_s))
                for t_s in path.times_s[1:-1]:
                    before, after = path.at(t_s - 1e-6), path.at(t_s)
                    assert np.allclose(before[:2], after[:2], atol=1e-4)
