"""People on foot: when they appear, and the way each of them goes."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.world.chance import between, chance
from pipeline.world.layout import KERB_FAR_M, KERB_NEAR_M, Layout
from pipeline.world.people import Wardrobe, dress
from pipeline.world.scenes import WalkStream
from pipeline.world.traffic import next_walk_s

LONGEST_STAY_S = 110.0
"""No walker is in the world for longer."""
_ASIDE_M = 0.9
"""How far outside the picture people appear and vanish."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Path:
    """A way over the ground: straight pieces, each at its own steady speed."""

    times_s: tuple[float, ...]
    points_m: tuple[Point, ...]
    walked_m: tuple[float, ...]

    def covers(self, t_s: float) -> bool:
        """Returns whether the walker is in the world at `t_s`."""
        return self.times_s[0] <= t_s < self.times_s[-1]

    def at(self, t_s: float) -> tuple[float, float, float, float, float]:
        """Returns x, z (metres), the velocity along both (m/s), and the way walked (metres)."""
        i = min(max(bisect_right(self.times_s, t_s) - 1, 0), len(self.times_s) - 2)
        span = self.times_s[i + 1] - self.times_s[i]
        part = (t_s - self.times_s[i]) / span
        (x0, z0), (x1, z1) = self.points_m[i], self.points_m[i + 1]
        walked = self.walked_m[i] + part * (self.walked_m[i + 1] - self.walked_m[i])
        dx, dz = x1 - x0, z1 - z0
        return x0 + part * dx, z0 + part * dz, dx / span, dz / span, walked


class _Route:
    """A path being written, from its first point on."""

    def __init__(self, start: Point, t_s: float, speed_mps: float) -> None:
        self._points, self._times, self._walked = [start], [t_s], [0.0]
        self._speed = speed_mps

    def walk(self, x: float, z: float) -> None:
        step = math.dist(self._points[-1], (x, z))
        if step < 1e-6:
            return
        self._points.append((x, z))
        self._times.append(self._times[-1] + step / self._speed)
        self._walked.append(self._walked[-1] + step)

    def stand_until(self, t_s: float) -> None:
        if t_s <= self._times[-1] + 1e-6:
            return
        self._points.append(self._points[-1])
        self._times.append(t_s)
        self._walked.append(self._walked[-1])

    @property
    def now_s(self) -> float:
        return self._times[-1]

    def path(self) -> Path:
        return Path(tuple(self._times), tuple(self._points), tuple(self._walked))


@dataclass(frozen=True, slots=True)
class Walker:
    """One person and the way he or she goes."""

    who: Wardrobe
    path: Path
    member: int
    """Which one of those walking together."""

    @property
    def nearest_m(self) -> float:
        """Smallest distance from the camera on the whole way."""
        return min(z for _, z in self.path.points_m)


def appearances(stream: WalkStream, t_s: float) -> Iterator[int]:
    """Yields the numbers of the appearances of `stream` that may still be in the world at `t_s`."""
    first = math.floor((t_s - LONGEST_STAY_S) / stream.every_s) - 1
    yield from range(first, math.floor(t_s / stream.every_s) + 1)


def company_at(layout: Layout, stream_index: int, number: int) -> tuple[Walker, ...]:
    """Returns those who walk together in one appearance of a stream."""
    stream = layout.spec.walks[stream_index]
    rng = chance(*layout.key, 3, stream_index, number)
    start_s = (number + float(rng.random())) * stream.every_s
    size = 1 + int(np.searchsorted(np.cumsum(stream.company), rng.random()))
    route_seed = int(rng.integers(1 << 31))
    walkers = []
    for member in range(min(size, len(stream.company))):
        # The same draws for everyone in the company; only the offset tells their ways apart.
        offset = (0.7 * member, 0.45 * member)
        path = _path(layout, stream, chance(route_seed), start_s, offset)
        who = dress(chance(*layout.key, 4, stream_index, number, member))
        walkers.append(Walker(who, path, member))
    return tuple(walkers)


def _path(
    layout: Layout, stream: WalkStream, rng: np.random.Generator, start_s: float, offset: Point
) -> Path:
    way = {"along": _along, "cross": _cross, "alley": _alley, "wait": _wait}[stream.manner]
    path = way(layout, stream, rng, start_s)
    points = tuple((x + offset[0], z + offset[1]) for x, z in path.points_m)
    return Path(path.times_s, points, path.walked_m)


def _edge(layout: Layout, z: float, side: float) -> float:
    """Returns the x just outside the picture at depth `z`, left (-1) or right (+1)."""
    return side * (layout.camera.half_width_m(z) + _ASIDE_M)


def _depth(stream: WalkStream, rng: np.random.Generator) -> float:
    low, high = stream.z_m
    # Even density over the picture rather than over the ground: nearer ground is taller.
    return 1.0 / between(rng, 1.0 / high, 1.0 / low)


def _side(rng: np.random.Generator) -> float:
    return 1.0 if rng.random() < 0.5 else -1.0


def _along(layout: Layout, stream: WalkStream, rng: np.random.Generator, t_s: float) -> Path:
    side, speed = _side(rng), between(rng, 0.9, 1.7)
    z0, z1 = _depth(stream, rng), _depth(stream, rng)
    route = _Route((_edge(layout, z0, -side), z0), t_s, speed)
    middle = between(rng, -0.4, 0.4) * layout.camera.half_width_m(z0)
    if rng.random() < 0.15:
        route.walk(middle, (z0 + z1) / 2)
        route.stand_until(route.now_s + between(rng, 2.0, 6.0))
    route.walk(_edge(layout, z1, side), z1)
    return route.path()


def _cross(layout: Layout, stream: WalkStream, rng: np.random.Generator, t_s: float) -> Path:
    near, far = stream.z_m
    here, there = (near, far) if rng.random() < 0.5 else (far, near)
    kerbs = (KERB_NEAR_M - 0.4, KERB_FAR_M + 0.4)
    first, last = kerbs if here == near else kerbs[::-1]
    lane = layout.crossing_x_m + between(rng, -1.4, 1.4)
    back = between(rng, -1.1, 0.0) if here == near else between(rng, 0.0, 1.1)
    start = between(rng, 0.0, 1.5) + here
    route = _Route((_edge(layout, start, _side(rng)), start), t_s, between(rng, 1.2, 1.7))
    route.walk(lane, first + back)
    route.stand_until(next_walk_s(route.now_s))
    route.walk(lane + between(rng, -0.4, 0.4), last)
    end = between(rng, 0.0, 1.5) + there
    route.walk(_edge(layout, end, _side(rng)), end)
    return route.path()


def _alley(layout: Layout, stream: WalkStream, rng: np.random.Generator, t_s: float) -> Path:
    near, far = stream.z_m
    x = layout.side_street_x_m + between(rng, -1.8, 1.8)
    z, side = between(rng, near, near + 4.0), _side(rng)
    points = [(x, far), (x, z), (_edge(layout, z, side), z)]
    if rng.random() < 0.5:
        points.reverse()
    route = _Route(points[0], t_s, between(rng, 1.0, 1.7))
    for point in points[1:]:
        route.walk(*point)
    return route.path()


def _wait(layout: Layout, stream: WalkStream, rng: np.random.Generator, t_s: float) -> Path:
    x, z = layout.bus_stop_x_m + between(rng, -2.2, 2.2), between(rng, *stream.z_m)
    away = z + between(rng, 0.5, 2.0)
    route = _Route((_edge(layout, away, _side(rng)), away), t_s, between(rng, 1.0, 1.6))
    route.walk(x, z)
    route.stand_until(route.now_s + between(rng, 8.0, 25.0))
    route.walk(_edge(layout, away, _side(rng)), away)
    return route.path()
