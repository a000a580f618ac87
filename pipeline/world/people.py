"""People: what they wear, and how they look at each phase of a step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.world.chance import Bgr, between, from_hsv, pick, shade, vivid
from pipeline.world.sprite import Easel, Sprite

PHASES = 12
"""Pictures in one walking cycle (two steps)."""
STRIDE_M = 1.15
"""Ground covered in one walking cycle by a person of 1.75 m."""
STANDING = -1
"""The phase of a person who does not walk."""

_SKIN: tuple[Bgr, ...] = ((150, 180, 225), (120, 155, 205), (85, 120, 175), (50, 75, 120))
_HAIR: tuple[Bgr, ...] = (
    (25, 25, 30),
    (35, 55, 85),
    (70, 130, 180),
    (160, 160, 165),
    (30, 50, 140),
)
_PATTERNS = ("plain", "plain", "hoops", "stripes", "checks", "block", "sash")


@dataclass(frozen=True, slots=True)
class Wardrobe:
    """Everything that tells one person from another."""

    height_m: float
    girth: float
    skin: Bgr
    hair: Bgr
    long_hair: bool
    hat: Bgr | None
    top: Bgr
    second: Bgr
    pattern: str
    coat: bool
    skirt: bool
    shorts: bool
    legs: Bgr
    shoes: Bgr
    bag: Bgr | None
    gait: float


def dress(rng: np.random.Generator) -> Wardrobe:
    """Returns a random person."""
    child = rng.random() < 0.07
    return Wardrobe(
        height_m=between(rng, 1.15, 1.4) if child else between(rng, 1.56, 1.93),
        girth=between(rng, 0.85, 1.2),
        skin=pick(rng, _SKIN),
        hair=pick(rng, _HAIR),
        long_hair=rng.random() < 0.4,
        hat=vivid(rng) if rng.random() < 0.25 else None,
        top=vivid(rng),
        second=vivid(rng),
        pattern=pick(rng, _PATTERNS),
        coat=rng.random() < 0.25,
        skirt=rng.random() < 0.18,
        shorts=rng.random() < 0.15,
        legs=from_hsv(float(rng.random()), between(rng, 0.05, 0.7), between(rng, 0.1, 0.75)),
        shoes=vivid(rng),
        bag=vivid(rng) if rng.random() < 0.45 else None,
        gait=between(rng, 0.8, 1.15),
    )


def paint_person(who: Wardrobe, view: str, phase: int, ppm: float) -> Sprite:
    """Paints a person seen from the "side" (facing right), the "front" or the "back".

    Args:
        who: the person.
        view: "side", "front" or "back".
        phase: picture of the walking cycle, 0..PHASES-1, or STANDING.
        ppm: pixels per metre of the sprite.
    """
    # The body is drawn 1.75 m tall; the scale of the sheet makes it short or tall.
    unit = who.height_m / 1.75
    easel = Easel(-0.62, 0.62, 1.88, ppm * unit)
    angle = 2 * math.pi * phase / PHASES
    swing = 0.0 if phase == STANDING else 0.36 * who.gait
    if view == "side":
        _paint_side(easel, who, angle, swing)
    else:
        _paint_facing(easel, who, angle, swing, back=view == "back")
    drawn = easel.finish(side_light=0.22)
    return Sprite(drawn.bgra, drawn.foot, ppm)


def _paint_side(easel: Easel, who: Wardrobe, angle: float, swing: float) -> None:
    lift = 0.03 * abs(math.cos(angle)) if swing else 0.0
    hip, shoulder = (0.0, 0.9 + lift), (0.03, 1.4 + lift)
    dark = shade(who.top, 0.7)
    _arm(easel, who, shoulder, swing * math.sin(angle), dark)
    _leg(easel, who, hip, angle + math.pi, swing, 0.75)
    _leg(easel, who, hip, angle, swing, 1.0)
    if who.bag:
        easel.disc(-0.19 * who.girth, 1.2 + lift, 0.12, 0.22, who.bag)
    _torso(easel, who, 0.145 * who.girth, lift)
    _head(easel, who, 0.05, lift, "side")
    _arm(easel, who, shoulder, -swing * math.sin(angle), shade(who.top, 0.88))


def _paint_facing(easel: Easel, who: Wardrobe, angle: float, swing: float, back: bool) -> None:
    lift = 0.02 * abs(math.cos(angle)) if swing else 0.0
    for side in (-1.0, 1.0):
        raised = 0.22 * swing * max(0.0, side * math.sin(angle))
        _straight_leg(easel, who, side * 0.1 * who.girth, raised)
    half = 0.21 * who.girth
    for side in (-1.0, 1.0):
        reach = 0.1 * swing * side * math.sin(angle)
        elbow = (side * (half + 0.07), 1.15 + lift + reach)
        hand = (side * (half + 0.06), 0.9 + lift + 1.5 * reach)
        easel.limb((side * half, 1.38 + lift), elbow, 0.1, shade(who.top, 0.85))
        easel.limb(elbow, hand, 0.085, shade(who.top, 0.85))
        easel.disc(*hand, 0.05, 0.06, who.skin)
    _torso(easel, who, half, lift)
    if who.bag and back:
        easel.box(-0.16, 1.4 + lift, 0.16, 0.98 + lift, who.bag)
    elif who.bag:
        easel.limb((-half, 1.4 + lift), (half, 0.95 + lift), 0.05, who.bag)
    _head(easel, who, 0.0, lift, "back" if back else "front")


def _leg(
    easel: Easel, who: Wardrobe, hip: tuple[float, float], angle: float, swing: float, light: float
) -> None:
    thigh = swing * math.sin(angle)
    bend = (0.08 + 0.75 * max(0.0, math.cos(angle))) * (swing > 0)
    knee = (hip[0] + 0.43 * math.sin(thigh), hip[1] - 0.43 * math.cos(thigh))
    shin = thigh - bend
    foot = (knee[0] + 0.43 * math.sin(shin), max(0.04, knee[1] - 0.43 * math.cos(shin)))
    cloth = shade(who.legs, light)
    bare = who.shorts or who.skirt
    easel.limb(hip, knee, 0.17 * who.girth, cloth)
    easel.limb(knee, foot, 0.12 * who.girth, shade(who.skin, light) if bare else cloth)
    easel.limb(foot, (foot[0] + 0.14, foot[1]), 0.09, shade(who.shoes, light))


def _straight_leg(easel: Easel, who: Wardrobe, x: float, raised: float) -> None:
    bare = who.shorts or who.skirt
    easel.limb((x, 0.9), (x, 0.48 + raised), 0.17 * who.girth, who.legs)
    easel.limb((x, 0.48 + raised), (x, 0.07 + raised), 0.13, who.skin if bare else who.legs)
    easel.disc(x, 0.045 + raised, 0.08, 0.05, who.shoes)


def _arm(
    easel: Easel, who: Wardrobe, shoulder: tuple[float, float], swing: float, cloth: Bgr
) -> None:
    elbow = (shoulder[0] + 0.27 * math.sin(swing), shoulder[1] - 0.03 - 0.27 * math.cos(swing))
    bent = swing + 0.3
    hand = (elbow[0] + 0.25 * math.sin(bent), elbow[1] - 0.25 * math.cos(bent))
    easel.limb(shoulder, elbow, 0.105, cloth)
    easel.limb(elbow, hand, 0.085, cloth)
    easel.disc(*hand, 0.05, 0.05, who.skin)


def _torso(easel: Easel, who: Wardrobe, half: float, lift: float) -> None:
    """Paints the clothes of the trunk, with their pattern, and the skirt below."""
    hem = 0.58 if who.coat else 0.84
    if who.skirt:
        easel.polygon(
            [(-half, 0.95), (half, 0.95), (half + 0.1, 0.5), (-half - 0.1, 0.5)], who.legs
        )
    shape = [
        (-half * 0.9, 1.46 + lift),
        (half * 0.9, 1.46 + lift),
        (half * 1.1, 1.3 + lift),
        (half * 0.95, 0.95 + lift),
        (half * 1.1, hem + lift),
        (-half * 1.1, hem + lift),
        (-half * 0.95, 0.95 + lift),
        (-half * 1.1, 1.3 + lift),
    ]
    cloth = easel.blank()
    cloth.polygon(shape, who.top)
    worn = cloth.sheet[..., 3] > 0
    _pattern(cloth, who, half * 1.1, hem + lift, 1.46 + lift)
    easel.sheet[worn] = cloth.sheet[worn]


def _pattern(cloth: Easel, who: Wardrobe, half: float, low: float, high: float) -> None:
    if who.pattern in ("hoops", "checks"):
        for step in range(6):
            y = low + 0.05 + step * 0.16
            cloth.box(-half, y + 0.075, half, y, who.second)
    if who.pattern in ("stripes", "checks"):
        for step in range(-2, 3):
            cloth.box(step * 0.14 - 0.03, high, step * 0.14 + 0.03, low, who.second)
    if who.pattern == "block":
        cloth.box(-half, 1.2, half, low, who.second)
    if who.pattern == "sash":
        cloth.limb((-half, high), (half, low + 0.1), 0.13, who.second)


def _head(easel: Easel, who: Wardrobe, x: float, lift: float, view: str) -> None:
    y = 1.6 + lift
    easel.limb((x * 0.7, 1.42 + lift), (x, y), 0.1, shade(who.skin, 0.85))
    if who.long_hair:
        length = 0.13 if view == "front" else 0.19
        easel.disc(x - (0.05 if view == "side" else 0.0), y - 0.08, 0.13, length, who.hair)
    easel.disc(x, y, 0.1, 0.13, who.hair if view == "back" else who.skin)
    crown = -0.035 if view == "side" else 0.0
    easel.disc(x + crown, y + 0.06, 0.11, 0.085, who.hair)
    if who.hat:
        easel.disc(x, y + 0.09, 0.12, 0.07, who.hat)
        easel.limb((x - 0.1, y + 0.06), (x + 0.16, y + 0.06), 0.03, who.hat)
