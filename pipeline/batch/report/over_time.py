"""What is drawn along the time of a video: counts, what nobody saw, and each track's presence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from statistics import fmean
from typing import Any

from markupsafe import Markup

from pipeline.batch.report.palette import Palette
from pipeline.page import charts
from pipeline.page.numbers import clock, decimal

_MOST_BINS = 120
_MOST_LANES = 40
#: What takes less time is drawn as wide as this, as a part of the whole.
_LEAST_WIDTH = 1 / 400
#: How a stretch that was not all right is drawn.
_STRETCHES = {"damaged": "veil", "stalled": "wrong", "blind": "wrong"}


def course(digest: Mapping[str, Any], palette: Palette) -> dict[str, Any]:
    """How many there were, classes on top of each other, and the highest of these sums."""
    classes, bin_s = _bins(digest["counts"])
    stacks = [
        None if None in of_bin else palette.stacked(dict(zip(classes, of_bin, strict=True)))
        for of_bin in zip(*classes.values(), strict=True)
    ]
    top = max((sum(height for _, height in stack) for stack in stacks if stack), default=0.0)
    blocks = list[charts.Block]()
    for place, stack in enumerate(stacks):
        at_s = place * bin_s
        told = {name: values[place] for name, values in classes.items() if values[place]}
        words = [f"{name} {decimal(count)}" for name, count in told.items()] or ["none"]
        title = f"{clock(digest['first_s'] + at_s)}: {', '.join(words)}"
        if stack is None:
            blocks.append(charts.Block(at_s, bin_s, 1.0, "veil", "nobody looked"))
            continue
        levels = accumulate(height for _, height in stack)
        pile = [(kind, level) for (kind, _), level in zip(stack, levels, strict=True)]
        blocks += [
            charts.Block(at_s, bin_s, level / top, kind, title) for kind, level in reversed(pile)
        ]
    chart = charts.skyline(blocks, "how many there were over time", _length_s(digest))
    return {"chart": chart, "top": top}


def stretches(digest: Mapping[str, Any]) -> Markup | None:
    """Where frames were not all right; None where all were."""
    blocks = [
        charts.Block(
            start - digest["first_s"],
            max(end - start, _LEAST_WIDTH * _length_s(digest)),
            1.0,
            _STRETCHES[status],
            f"{status} from {clock(start)} to {clock(end)}{': ' if reason else ''}{reason}",
        )
        for start, end, status, reason in digest["statuses"]["stretches"]
    ]
    return charts.skyline(blocks, "what was not all right", _length_s(digest)) if blocks else None


def lanes(digest: Mapping[str, Any], hues: Mapping[int, str]) -> list[tuple[Any, Markup]]:
    """Tracks, those seen longest and most surely, each with the times when it was there."""
    chosen = sorted(digest["tracks"], key=lambda track: -track["score"] * track["frames"])
    return [
        (track, _lane(track, digest, hues[track["id"]]))
        for track in digest["tracks"]
        if track in chosen[:_MOST_LANES]
    ]


def _lane(track: Mapping[str, Any], digest: Mapping[str, Any], hue: str) -> Markup:
    first_s, length_s = digest["first_s"], _length_s(digest)
    name = f"{track['class']} {track['id']}"
    blocks = [
        charts.Block(
            start - first_s,
            max(end - start, _LEAST_WIDTH * length_s),
            0.75,
            hue,
            f"{name}, {clock(start)} to {clock(end)}, {decimal(end - start)} s",
        )
        for start, end in track["spans"]
    ]
    for event in digest["events"]:
        if event["track"] == track["id"]:
            at_s = event["pts_ns"] / 1e9
            title = f"{clock(at_s)}: {event['rule']} {event['kind'].replace('_', ' ')}"
            blocks.append(charts.Block(at_s - first_s, _LEAST_WIDTH * length_s, 1.0, "ink", title))
    return charts.skyline(blocks, name, length_s)


def _bins(counts: Mapping[str, Any]) -> tuple[dict[str, list[float | None]], float]:
    """The mean of each class in bins, and how long one is, seconds; None: nobody looked."""
    together = -(-len(counts["most"]) // _MOST_BINS) or 1
    classes = counts["classes"] or {"": [None if m is None else 0.0 for m in counts["most"]]}
    merged = {name: _merged(values, together) for name, values in classes.items()}
    return merged, together * counts["bin_s"]


def _merged(values: Sequence[float | None], together: int) -> list[float | None]:
    """Means of so many neighbours each, of those that are known."""
    groups = (values[i : i + together] for i in range(0, len(values), together))
    known = ([value for value in group if value is not None] for group in groups)
    return [fmean(values) if values else None for values in known]


def _length_s(digest: Mapping[str, Any]) -> float:
    return float(max(digest["end_s"] - digest["first_s"], 1e-3))
