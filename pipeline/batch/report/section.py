"""One video's part of the report: from its digest to what the page's template names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.batch.clip import Clip
from pipeline.batch.digest import THUMBS
from pipeline.batch.report import over_time
from pipeline.batch.report.dwell import DWELLS_S
from pipeline.batch.report.evidence import evidence
from pipeline.batch.report.heat import heat_picture
from pipeline.batch.report.palette import Palette
from pipeline.batch.report.pictures import BACKGROUND, jpeg
from pipeline.batch.report.row import read_digest
from pipeline.page import charts
from pipeline.page.numbers import NONE, clock, quantity
from pipeline.page.pictures import data_uri

_MOST_PICTURES = 48
_MOST_EVENTS = 40
_MOST_TRAILS = 150
_LEAST_DWELLS = 7  # bins that are always shown
_HUES = 12  # in style.css
_CANVAS_WIDTH = 720  # of what stands for a picture that is not there, pixels
_MINUTE_S, _HOUR_S = 60, 3600


def section(clip: Clip, folder: Path, palette: Palette) -> dict[str, Any]:
    """What the template shows of a video.

    Args:
        clip: as it was probed.
        folder: of its results; pictures that are missing are left out.
        palette: of the classes.

    Raises:
        OSError, ValueError: the digest cannot be read.
    """
    digest = read_digest(folder)
    hues = {track["id"]: f"hue-{i % _HUES}" for i, track in enumerate(digest["tracks"])}
    background = _background(digest, folder)
    return {
        "clip": clip,
        "digest": digest,
        "facts": _facts(clip, digest),
        "key": palette.key(digest["classes"]),
        "course": over_time.course(digest, palette),
        "stretches": over_time.stretches(digest),
        "lanes": over_time.lanes(digest, hues),
        "heat": data_uri(jpeg(heat_picture(np.array(digest["heat"], float), background))),
        "scene": data_uri(jpeg(background)),
        "size": background.shape[1::-1],
        "trails": _trails(digest, hues),
        "trail_count": min(len(digest["tracks"]), _MOST_TRAILS),
        "dwell": _dwell(digest["dwell"]["counts"]),
        "classes": _classes(digest["classes"]),
        "pictures": _pictures(digest["tracks"], hues, folder),
        "events": digest["events"][:_MOST_EVENTS],
        "evidence": evidence(digest["events"], folder),
        "events_in_all": sum(kind["count"] for kind in digest["events_by_kind"]),
    }


def _facts(clip: Clip, digest: Mapping[str, Any]) -> list[tuple[str, str]]:
    most = [count for count in digest["counts"]["most"] if count is not None]
    dwell = digest["dwell"]
    speeds = [track["fastest_kmh"] for track in digest["tracks"] if track["fastest_kmh"]]
    facts = [
        ("Length", clock(digest["end_s"] - digest["first_s"])),
        ("Tracks", str(digest["tracks_in_all"])),
        ("Most at once", str(max(most, default=0))),
        ("Stayed, median", NONE if dwell["median_s"] is None else f"{dwell['median_s']:.1f} s"),
        ("Frames looked at", str(digest["frames"])),
        ("Picture", f"{clip.width} × {clip.height}, {clip.codec}"),
        ("File", quantity(clip.size or None, "B")),
    ]
    return [*facts, ("Fastest", f"{max(speeds):.0f} km/h")] if speeds else facts


def _background(digest: Mapping[str, Any], folder: Path) -> NDArray[np.uint8]:
    """The scene's picture, (height, width, 3) uint8 BGR; dark where there is none."""
    image = cv2.imread(str(folder / THUMBS / BACKGROUND)) if digest["background"] else None
    if image is not None:
        return np.asarray(image, np.uint8)
    height = max(1, round(_CANVAS_WIDTH * digest["height"] / max(digest["width"], 1)))
    return np.full((height, _CANVAS_WIDTH, 3), 48, np.uint8)


def _trails(digest: Mapping[str, Any], hues: Mapping[int, str]) -> Markup:
    """The ways of the tracks that were there longest."""
    longest = sorted(digest["tracks"], key=lambda track: -track["dwell_s"])[:_MOST_TRAILS]
    lines = [
        charts.Trail(
            track["path"],
            hues[track["id"]],
            f"{track['class']} {track['id']}, {clock(track['first_s'])} to "
            f"{clock(track['last_s'])}",
        )
        for track in longest
    ]
    return charts.trails(lines, digest["width"], digest["height"], "ways of the tracks")


def _dwell(counts: Sequence[int]) -> dict[str, Any]:
    """How many tracks stayed for how long, to the last bin that has any."""
    used = [place for place, count in enumerate(counts) if count]
    places = range(max([_LEAST_DWELLS, *used]) + 1)
    top = max(counts) or 1
    blocks = [
        charts.Block(
            i,
            0.94,
            counts[place] / top,
            "second",
            f"{counts[place]} from {_label(DWELLS_S[place])}",
        )
        for i, place in enumerate(places)
    ]
    return {
        "chart": charts.skyline(blocks, "how many tracks stayed for how long", len(places)),
        "labels": [_label(DWELLS_S[place]) for place in places],
        "top": max(counts),
    }


def _label(seconds: int) -> str:
    if seconds >= _HOUR_S:
        return f"{seconds // _HOUR_S} h"
    return f"{seconds // _MINUTE_S} min" if seconds >= _MINUTE_S else f"{seconds} s"


def _classes(classes: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], Markup]]:
    """Each class, that with the most tracks first, with its part of all tracks as a bar."""
    total = sum(one["tracks"] for one in classes.values())
    ordered = sorted(classes.items(), key=lambda item: (-item[1]["tracks"], item[0]))
    return [
        (name, one, charts.bar(one["tracks"] / total, f"{one['tracks']} of {total}"))
        for name, one in ordered
    ]


def _pictures(
    tracks: Sequence[Mapping[str, Any]], hues: Mapping[int, str], folder: Path
) -> list[tuple[Mapping[str, Any], str, str]]:
    """Tracks with their colours and pictures, those seen longest and most surely."""
    ranked = sorted(tracks, key=lambda track: -track["score"] * track["frames"])
    found = {}
    for track in [one for one in ranked if one["picture"]][:_MOST_PICTURES]:
        with suppress(OSError):
            data = (folder / THUMBS / f"{track['id']}.jpg").read_bytes()
            found[track["id"]] = data_uri(data)
    return [
        (track, hues[track["id"]], found[track["id"]]) for track in tracks if track["id"] in found
    ]
