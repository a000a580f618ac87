"""The scenes: what goes on in the street, and the light it stands in. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

LABELS = ("person", "bicycle", "car", "van", "bus")
"""The kinds of object that have ground truth; a label is an index into this."""


@dataclass(frozen=True, slots=True)
class WalkStream:
    """People who appear again and again and go about in the same manner."""

    manner: str
    """"along" a band, "cross" the road, "alley" in or out of the side street, "wait" for a bus."""
    every_s: float
    """Mean time between two appearances."""
    z_m: tuple[float, float]
    """The band of ground they keep to (where they wait, for "wait")."""
    company: tuple[float, ...] = (0.7, 0.25, 0.05)
    """Chances that one, two, three … walk together."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane whose vehicles share one motion, so that none runs into another."""

    z_m: float
    direction: int
    """+1 drives to the right, -1 to the left."""
    speed_mps: float
    slot_m: float
    """Distance between places for a vehicle."""
    filled: float
    """Chance that a place is taken."""
    kinds: tuple[str, ...]
    """Kinds of vehicle, equally likely; repeat one to make it common."""
    stops: bool = True
    """Whether the lane obeys the lights at the zebra crossing."""


@dataclass(frozen=True, slots=True)
class Light:
    """How bright and how noisy the picture is."""

    ambient_bgr: tuple[float, float, float]
    swing: float
    """Largest slow change of brightness (clouds), as a fraction."""
    fading: float
    """Brightness lost within each ten minutes, as a fraction (dusk)."""
    shadow: float
    """Darkness of the shadows, 0..1."""
    shadow_length: float
    """Length of a shadow in heights of its object; negative falls to the left."""
    noise: float
    """Standard deviation of the sensor noise, grey levels."""
    lamps: bool
    """Whether street lamps and headlights are lit."""


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """One scene."""

    name: str
    walks: tuple[WalkStream, ...]
    lanes: tuple[Lane, ...]
    light: Light
    shake_px: float
    """Largest camera shake at a picture height of 360, pixels."""
    plaza: bool = False
    """Paved all over, without parking and kerbs."""


_TRAFFIC = ("car", "car", "car", "van", "bus")
_ROAD = (
    Lane(14.6, +1, 8.0, 16.0, 0.5, _TRAFFIC),
    Lane(17.8, -1, 7.0, 16.0, 0.5, _TRAFFIC),
    Lane(13.1, +1, 4.2, 11.0, 0.35, ("bicycle",), stops=False),
    Lane(19.3, -1, 3.8, 11.0, 0.35, ("bicycle",), stops=False),
)

_DAY = SceneSpec(
    name="day",
    walks=(
        WalkStream("along", 3.6, (10.6, 12.0)),
        WalkStream("along", 5.5, (22.8, 29.0)),
        WalkStream("cross", 8.0, (10.8, 27.0), (0.75, 0.25)),
        WalkStream("alley", 12.0, (24.0, 42.0)),
        WalkStream("wait", 16.0, (22.6, 24.0), (1.0,)),
    ),
    lanes=_ROAD,
    light=Light((1.0, 1.0, 1.0), 0.12, 0.0, 0.42, 0.75, 2.2, lamps=False),
    shake_px=1.6,
)
_DUSK = SceneSpec(
    name="dusk",
    walks=(
        WalkStream("along", 4.6, (10.6, 12.0)),
        WalkStream("along", 6.0, (22.8, 29.0)),
        WalkStream("cross", 9.0, (10.8, 27.0), (0.75, 0.25)),
        WalkStream("alley", 14.0, (24.0, 42.0)),
        WalkStream("wait", 16.0, (22.6, 24.0), (1.0,)),
    ),
    lanes=_ROAD,
    light=Light((0.62, 0.52, 0.5), 0.05, 0.1, 0.2, -1.1, 4.5, lamps=True),
    shake_px=1.2,
)
_CROWD = SceneSpec(
    name="crowd",
    walks=(
        WalkStream("along", 3.0, (10.6, 13.0), (0.65, 0.3, 0.05)),
        WalkStream("along", 2.8, (13.0, 20.0), (0.65, 0.3, 0.05)),
        WalkStream("along", 4.0, (20.0, 29.0), (0.65, 0.3, 0.05)),
        WalkStream("cross", 7.0, (10.8, 27.0), (0.75, 0.25)),
        WalkStream("alley", 10.0, (24.0, 42.0)),
        WalkStream("wait", 13.0, (22.6, 24.0), (1.0,)),
    ),
    lanes=(
        Lane(17.0, -1, 5.0, 16.0, 0.3, _TRAFFIC),
        Lane(13.5, +1, 3.8, 11.0, 0.3, ("bicycle",), stops=False),
    ),
    light=Light((0.93, 0.92, 0.9), 0.08, 0.0, 0.16, 0.3, 3.0, lamps=False),
    shake_px=1.2,
    plaza=True,
)

SPECS = {spec.name: spec for spec in (_DAY, _DUSK, _CROWD)}
SCENES = tuple(SPECS)
"""Names of the scenes."""
