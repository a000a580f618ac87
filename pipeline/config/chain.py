"""The chain that is built where no stage says `after`: which stages, in which order."""

from __future__ import annotations

from collections.abc import Collection

#: A detector is of one stage or of two, a tracker is whole or in parts.
_ONE_STAGE = ("detect", "postprocess")
_TWO_STAGE = ("backbone", "proposals", "roi_align", "roi_head", "boxes")
_WHOLE = ("track",)
_IN_PARTS = ("kalman", "matching", "screening")
#: In the chain only where they are written.
_OPTIONAL = ("camera_motion", "embed", "classify", "analyse")

#: Every name there may be in a chain, in its order; each is also the stage's kind.
CHAIN = (
    "preprocess",
    *_ONE_STAGE,
    *_TWO_STAGE,
    "camera_motion",
    "embed",
    *_WHOLE,
    *_IN_PARTS,
    "classify",
    "analyse",
)
#: Of those that cannot go into one chain: the two ways to do the same.
ALTERNATIVES = ((_ONE_STAGE, _TWO_STAGE), (_WHOLE, _IN_PARTS))


def chain(written: Collection[str]) -> tuple[str, ...]:
    """The names in the chain that these written stages ask for."""
    left_out = {name for name in _OPTIONAL if name not in written}
    for usual, other in ALTERNATIVES:
        left_out.update(usual if not set(other).isdisjoint(written) else other)
    return tuple(name for name in CHAIN if name not in left_out)
