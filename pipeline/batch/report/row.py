"""A video's line in the report's table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pipeline.batch.clip import Clip
from pipeline.batch.digest import DIGEST, VERSION
from pipeline.page import charts

_SPARK_BINS = 60
#: Statuses of frames that nobody looked at.
_UNSEEN = ("stalled", "blind")


@dataclass(frozen=True, slots=True)
class Row:
    """What the table says of a video.

    Attributes:
        clip: as it was probed.
        error: why there are no results; empty where there are.
        length_s: that was looked at, seconds.
        frames: that were looked at.
        tracks: found in it.
        most: tracks at once.
        events: found in it.
        unseen_s: in which nobody could look, seconds.
        damaged_s: in which pictures were suspect, seconds.
        classes: tracks of each class.
        spark: how many there were over time; None where there are no results.
        notes: what people should know.
    """

    clip: Clip
    error: str = ""
    length_s: float = 0.0
    frames: int = 0
    tracks: int = 0
    most: int = 0
    events: int = 0
    unseen_s: float = 0.0
    damaged_s: float = 0.0
    classes: Mapping[str, int] = field(default_factory=dict)
    spark: Markup | None = None
    notes: tuple[str, ...] = ()


def row(clip: Clip, folder: Path) -> Row:
    """The line of a clip.

    Args:
        clip: as it was probed.
        folder: of its results.
    """
    error = clip.error
    if not error:
        try:
            return _filled(clip, read_digest(folder))
        except (OSError, ValueError) as problem:
            error = f"{folder / DIGEST}: cannot be read: {problem}; make it anew with --force"
    return Row(clip, error, notes=clip.notes)


def read_digest(folder: Path) -> dict[str, Any]:
    """A clip's digest; raises `OSError` or `ValueError` where there is none of this version."""
    digest: dict[str, Any] = json.loads((folder / DIGEST).read_text(encoding="utf-8"))
    if digest.get("version") != VERSION:
        raise ValueError(f"expected version {VERSION}, found {digest.get('version')}")
    return digest


def _filled(clip: Clip, digest: Mapping[str, Any]) -> Row:
    most = digest["counts"]["most"]
    seconds = digest["statuses"]["seconds"]
    together = -(-len(most) // _SPARK_BINS) or 1
    groups = (most[i : i + together] for i in range(0, len(most), together))
    peaks = [max((one for one in group if one is not None), default=None) for group in groups]
    return Row(
        clip,
        length_s=digest["end_s"] - digest["first_s"],
        frames=digest["frames"],
        tracks=digest["tracks_in_all"],
        most=max((one for one in most if one is not None), default=0),
        events=sum(kind["count"] for kind in digest["events_by_kind"]),
        unseen_s=sum(seconds.get(status, 0.0) for status in _UNSEEN),
        damaged_s=seconds.get("damaged", 0.0),
        classes={name: one["tracks"] for name, one in digest["classes"].items()},
        spark=charts.spark(peaks, f"most at once in {clip.name} over time"),
        notes=(*clip.notes, *digest["notes"]),
    )
