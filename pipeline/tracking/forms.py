"""The forms of a track's state: which four numbers describe a box, and how noisy each is.

The noise of `XYWH` is per second and our own. The others are published per frame: after each frame
the variance of position and of velocity grows by a constant. Per second, at the 30 frames/s of most
of the sequences that they were chosen on, a position's constant is a random walk u = 30 σ², a
velocity's a white acceleration q = 30³ σ², and the initial variance of a velocity is 30² σ². The
result at 30 frames/s is that of the paper but for q dt³/3 and q dt²/2, which it leaves out.

[1] A. Bewley et al., Simple online and realtime tracking, ICIP 2016.
[2] J. Cao et al., Observation-centric SORT, CVPR 2023: its parameters of the same filter.
[3] N. Wojke, A. Bewley, D. Paulus, Simple online and realtime tracking with a deep association
    metric, ICIP 2017.
[4] Y. Zhang et al., ByteTrack, ECCV 2022: its parameters of the same filter.
[5] N. Aharon, R. Orfaig, B.-Z. Bobrovsky, BoT-SORT: robust associations multi-pedestrian tracking,
    arXiv 2206.14651, eq. 3 to 6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.motion import Floats, Four, Noise

#: No box is thinner or smaller than this, in pixels: a prediction may not shrink through zero.
SMALLEST = 1.0

_NOMINAL_FPS = 30


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """Four components that describe a box: its centre, and two that make its extent.

    Attributes:
        name: in configurations.
        of_size: turns width and height (2, N) into components 2 and 3, in place.
        size: components 2 and 3 (2, N) → width and height (2, N), each at least `SMALLEST`.
        scale2: components (4, N) → what the noise of each is multiplied by, (4, N) or (N,).
        lengths: how the components 2 and 3 grow with the picture: as which power of its zoom.
        shrinks: components that stop where a prediction would bring them to zero or below.
        noise: for a scale of 1.
    """

    name: str
    of_size: Callable[[Floats], None]
    size: Callable[[Floats], Floats]
    scale2: Callable[[Floats], Floats]
    lengths: tuple[int, int]
    noise: Noise
    shrinks: tuple[int, ...] = ()

    def to_components(self, boxes_xyxy: NDArray[Any]) -> Floats:
        """Boxes (N, 4) xyxy as components (4, N)."""
        columns = np.array(boxes_xyxy.T, np.float64, order="C")
        near, far = columns[:2], columns[2:]
        far -= near
        near += 0.5 * far
        self.of_size(far)
        return columns

    def from_components(self, components: Floats) -> Floats:
        """Components (4, N) as boxes (N, 4) xyxy, at least `SMALLEST` wide and high."""
        centre, half = components[:2], self.size(components[2:]) * 0.5
        return np.concatenate((centre - half, centre + half)).T


def _at_least_smallest(size: Floats) -> Floats:
    return np.maximum(size, SMALLEST)


def _as_it_is(size: Floats) -> None:
    """Width and height are the components."""


def _by_area(components: Floats) -> Floats:
    width, height = _at_least_smallest(components[2:])
    area: Floats = width * height
    return area


def _by_width_and_height(components: Floats) -> Floats:
    size2 = np.square(_at_least_smallest(components[2:]))
    return np.concatenate((size2, size2))


def _to_aspect(size: Floats) -> None:
    width, height = np.maximum(size, SMALLEST, out=size)
    width /= height


def _from_aspect(extent: Floats) -> Floats:
    height = _at_least_smallest(extent[1])
    return np.stack((_at_least_smallest(extent[0] * height), height))


def _by_height(components: Floats) -> Floats:
    scale2 = np.ones_like(components)
    scale2[[0, 1, 3]] = np.square(_at_least_smallest(components[3]))
    return scale2


def _to_area(size: Floats) -> None:
    width, height = _at_least_smallest(size)
    size[:] = width * height, width / height


def _from_area(extent: Floats) -> Floats:
    # A width or height below the smallest is one of a track that shrank, and its ratio is free.
    area, ratio = np.maximum(extent, ((SMALLEST**2,), (np.finfo(np.float64).eps,)))
    return _at_least_smallest(np.sqrt(np.stack((area * ratio, area / ratio))))


def _absolute(components: Floats) -> Floats:
    return np.ones(components.shape[1])


def _published(
    measurement: Four, position: Four, velocity: Four, walk: Four, acceleration: Four
) -> Noise:
    """Noise from variances per frame; `walk` and `acceleration` are Q of position and velocity."""

    def times(values: Four, factor: int) -> Four:
        a, b, c, d = values
        return a * factor, b * factor, c * factor, d * factor

    return Noise(
        measurement,
        position,
        velocity=times(velocity, _NOMINAL_FPS**2),
        acceleration=times(acceleration, _NOMINAL_FPS**3),
        walk=times(walk, _NOMINAL_FPS),
    )


#: Centre, width, height. A detector that errs by a tenth of the size √(w h), somewhat more in the
#: extent; objects that start at about their own size per second, and change that by about half of
#: it within a second, their extent more slowly.
XYWH = Form(
    "xywh",
    of_size=_as_it_is,
    size=_at_least_smallest,
    scale2=_by_area,
    lengths=(1, 1),
    noise=Noise(
        measurement=(0.01, 0.01, 0.02, 0.02),
        position=(0.01, 0.01, 0.02, 0.02),
        velocity=(1.0, 1.0, 0.1, 0.1),
        acceleration=(0.3, 0.3, 0.1, 0.1),
        walk=(0.0, 0.0, 0.0, 0.0),
    ),
)

_POSITION2, _VELOCITY2 = (1 / 20) ** 2, (1 / 160) ** 2

#: The same, with BoT-SORT's noise: that of x and w by the width, of y and h by the height [5].
XYWH_BOTSORT = replace(
    XYWH,
    name="xywh-botsort",
    scale2=_by_width_and_height,
    noise=_published(
        measurement=(_POSITION2,) * 4,
        position=(4 * _POSITION2,) * 4,
        velocity=(100 * _VELOCITY2,) * 4,
        walk=(_POSITION2,) * 4,
        acceleration=(_VELOCITY2,) * 4,
    ),
)

#: Centre, aspect w / h, height: DeepSORT's [3, 4], with noise by the height; the aspect's is fixed.
XYAH = Form(
    "xyah",
    of_size=_to_aspect,
    size=_from_aspect,
    scale2=_by_height,
    lengths=(0, 1),
    noise=_published(
        measurement=(_POSITION2, _POSITION2, 1e-2, _POSITION2),
        position=(4 * _POSITION2, 4 * _POSITION2, 1e-4, 4 * _POSITION2),
        velocity=(100 * _VELOCITY2, 100 * _VELOCITY2, 1e-10, 100 * _VELOCITY2),
        walk=(_POSITION2, _POSITION2, 1e-4, _POSITION2),
        acceleration=(_VELOCITY2, _VELOCITY2, 1e-10, _VELOCITY2),
    ),
)

#: Centre, area, ratio w / h: SORT's [1, 2], in pixels whatever the size. The ratio has no velocity.
XYSR = Form(
    "xysr",
    of_size=_to_area,
    size=_from_area,
    scale2=_absolute,
    lengths=(2, 0),
    shrinks=(2,),
    noise=_published(
        measurement=(1.0, 1.0, 10.0, 10.0),
        position=(10.0, 10.0, 10.0, 10.0),
        velocity=(1e4, 1e4, 1e4, 0.0),
        walk=(1.0, 1.0, 1.0, 1.0),
        acceleration=(1e-2, 1e-2, 1e-4, 0.0),
    ),
)

FORMS: Mapping[str, Form] = {form.name: form for form in (XYWH, XYAH, XYSR, XYWH_BOTSORT)}
