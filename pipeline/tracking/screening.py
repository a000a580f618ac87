"""Which tracks are good enough to be given out: the track-ID screening rules.

A track is screened by its whole life, not by its last detection: its mean score, its mean area, the
time since its first detection, and its class, which is the vote kept by `Book`: every detection
votes for its class with its score. Zones look at the last detection's box. (`min_hits` decides when
a track is confirmed, see `tracker`.)
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import ConfigError
from pipeline.tracking.book import Book
from pipeline.tracking.zones import Mask, Zone, within


class ScreeningSpec(BaseModel):
    """Which confirmed tracks are given out. A track has to pass every rule."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )

    min_score: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Tracks of a lower mean score (0..1) are not given out."""

    min_area: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Tracks of a smaller mean box area are not given out, pixels²."""

    min_dwell_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Tracks are not given out until so long after their first detection, seconds."""

    # Not strict: a list is what YAML has for a tuple.
    classes: Annotated[tuple[str | int, ...], Field(strict=False)] = ()
    """Labels, or their numbers, that are given out; all if empty. A track's own wins by vote."""

    class_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Least share of the vote that a track's label must have, 0..1."""

    zones: Annotated[tuple[Zone, ...], Field(strict=False)] = ()
    """Tracks are given out inside any of these and outside of those that say `exclude`."""

    zone_rule: Literal["now", "once"] = "now"
    """now: while a track is where the zones allow it; once: from when it first was there."""

    def in_pixels(self, picture: tuple[int, int] | None) -> ScreeningSpec:
        """The same rules with zones for a picture of this size.

        Args:
            picture: width and height in pixels; None if not known.

        Raises:
            ConfigError: a zone is in fractions of a picture whose size is not known.
        """
        if picture is not None:
            zones = tuple(zone.in_pixels(*picture) for zone in self.zones)
            return self.model_copy(update={"zones": zones})
        if any(zone.unit == "fraction" for zone in self.zones):
            raise ConfigError(
                "screening: zones: a zone is in fractions of the picture, whose size is not known "
                "here; give its corners in pixels and say unit: pixels"
            )
        return self

    def numbered(self, labels: Sequence[str]) -> ScreeningSpec:
        """The same rules with numbers for the names in `classes`.

        Args:
            labels: of the detector, by number; empty if not known.

        Raises:
            ConfigError: there is no such label; the nearest one is suggested.
        """
        numbers = tuple(_number(wanted, labels) for wanted in self.classes)
        return self.model_copy(update={"classes": numbers})


def screened(book: Book, spec: ScreeningSpec, pts_ns: int) -> Mask:
    """Which tracks pass every rule at `pts_ns`: mask (N,).

    Args:
        book: of N tracks; under the rule `once` it is noted there who was in the zones.
        spec: with zones in pixels and classes as numbers.
        pts_ns: now.
    """
    hits = book["hits"]
    passed = np.ones(len(book), np.bool_)
    if spec.min_score > 0:
        passed &= book.votes.sum(axis=1) >= spec.min_score * hits
    if spec.min_area > 0:
        passed &= book["area_sum"] >= spec.min_area * hits
    if spec.min_dwell_s > 0:
        passed &= pts_ns - book["born_ns"] >= spec.min_dwell_s * 1e9
    if spec.classes:
        passed &= np.isin(book["label"], spec.classes)
    if spec.class_share > 0:
        passed &= book.votes.max(axis=1) >= spec.class_share * book.votes.sum(axis=1)
    if spec.zones:
        passed &= _zoned(book, spec)
    return passed


def _zoned(book: Book, spec: ScreeningSpec) -> Mask:
    """Which tracks the zones allow: mask (N,)."""
    allowed = within(spec.zones, book["box_xyxy"])
    if spec.zone_rule == "now":
        return allowed
    entered: Mask = book["entered"]
    entered |= allowed
    return entered


def _number(wanted: str | int, labels: Sequence[str]) -> int:
    if isinstance(wanted, int):
        return wanted
    if wanted in labels:
        return labels.index(wanted)
    near = get_close_matches(wanted, labels, 1)
    known = f"write one of {', '.join(labels)}" if labels else "write its number"
    hint = f"did you mean '{near[0]}'?" if near else known
    raise ConfigError(f"screening: classes: there is no label '{wanted}'; {hint}")
