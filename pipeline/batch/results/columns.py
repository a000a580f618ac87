"""Lines of results as rows of tables: which columns there are, their types and units.

Sorted by video, and in it as the lines are: by frame, then by track. docs/results.md says what each
column means.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

#: ``word``: text of few different values, kept once each.
Type = Literal["word", "text", "int64", "int32", "float32"]
Columns = Mapping[str, Type]
Row = tuple[Any, ...]

FRAMES: Columns = {
    "video": "word",
    "frame": "int64",
    "pts_ns": "int64",
    "epoch": "int32",
    "width": "int32",
    "height": "int32",
    "status": "word",
    "reason": "word",
    "engine": "word",
    "tracks": "int32",
}

TRACKS: Columns = {
    "video": "word",
    "frame": "int64",
    "pts_ns": "int64",
    "status": "word",
    "id": "int64",
    "label": "int32",
    "class": "word",
    "state": "word",
    "score": "float32",
    "x1": "float32",
    "y1": "float32",
    "x2": "float32",
    "y2": "float32",
    "vx": "float32",
    "vy": "float32",
    "age_s": "float32",
    "unseen_s": "float32",
    "speed_kmh": "float32",
    "attributes": "text",
}

EVENTS: Columns = {
    "video": "word",
    "frame": "int64",
    "pts_ns": "int64",
    "rule": "word",
    "kind": "word",
    "direction": "word",
    "track": "int64",
    "label": "int32",
    "class": "word",
    "x": "float32",
    "y": "float32",
    "value": "float32",
    "unit": "word",
    "x1": "float32",
    "y1": "float32",
    "x2": "float32",
    "y2": "float32",
    "picture": "text",
    "crop": "text",
}


def frame_row(video: str, line: Mapping[str, Any]) -> Row:
    """The row in `FRAMES` of a line of tracks.jsonl."""
    said = (line[name] for name in FRAMES if name not in ("video", "tracks"))
    return (video, *said, len(line["tracks"]))


def track_rows(video: str, line: Mapping[str, Any]) -> Iterator[Row]:
    """The rows in `TRACKS` of a line of tracks.jsonl."""
    frame = video, line["frame"], line["pts_ns"], line["status"]
    for track in line["tracks"]:
        known = track.get("attributes")
        yield (
            *frame,
            *(track["id"], track["label"], track["class"], track["state"], track["score"]),
            *track["box"],
            *track["velocity"],
            *(track["age_s"], track["unseen_s"], track.get("speed_kmh")),
            json.dumps(known, ensure_ascii=False, separators=(",", ":")) if known else None,
        )


def event_row(video: str, line: Mapping[str, Any]) -> Row:
    """The row in `EVENTS` of a line of events.jsonl."""
    x, y = line["at"]
    corners = zip(("x1", "y1", "x2", "y2"), line["box"] or (None,) * 4, strict=True)
    flat = {**line, "video": video, "x": x, "y": y, **dict(corners)}
    return tuple(flat[name] for name in EVENTS)
