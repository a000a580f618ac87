"""Random numbers that depend on a key only, never on what was drawn before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Bgr = tuple[int, int, int]
T = TypeVar("T")


def chance(*keys: int) -> np.random.Generator:
    """Returns a fresh generator for `keys`: equal keys give equal draws, on every machine."""
    words = [key & 0xFFFFFFFF for key in keys]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Returns one uniform draw from [low, high)."""
    return low + (high - low) * float(rng.random())


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """Returns one of `options`, each equally likely."""
    return options[int(rng.random() * len(options))]


def vivid(rng: np.random.Generator) -> Bgr:
    """Returns a random cloth or paint colour, BGR 0..255, from pale to strong."""
    return from_hsv(float(rng.random()), between(rng, 0.15, 0.95), between(rng, 0.15, 0.95))


def from_hsv(hue: float, saturation: float, value: float) -> Bgr:
    """Returns the BGR colour (0..255) of a hue, saturation and value in 0..1."""
    wheel = np.array([hue * 6.0 + 1.0, hue * 6.0 + 3.0, hue * 6.0 + 5.0])  # b, g, r
    k = np.mod(wheel, 6.0)
    ramp = np.clip(np.minimum(k, 4.0 - k), 0.0, 1.0)
    b, g, r = (255.0 * value * (1.0 - saturation * ramp)).astype(int)
    return int(b), int(g), int(r)


def shade(colour: Bgr, factor: float) -> Bgr:
    """Returns `colour` made darker (factor < 1) or lighter (factor > 1)."""
    b, g, r = (min(255, max(0, round(part * factor))) for part in colour)
    return b, g, r
