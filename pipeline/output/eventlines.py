"""Events as lines of a file: JSONL or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from pipeline.analytics.event import Event
from pipeline.output.events import as_json, compact
from pipeline.output.jsonmessage import BOX, rounded
from pipeline.output.message import Message

CSV_COLUMNS = (
    *("camera", "epoch", "frame", "pts_ns", "utc_ns", "utc_source"),
    *("rule", "kind", "direction", "track", "label", "class", "x", "y", "value", "unit"),
    *("x1", "y1", "x2", "y2", "picture", "crop"),
)
CSV_HEADER = ",".join(CSV_COLUMNS) + "\n"


def record(
    message: Message, event: Event, labels: Sequence[str], picture: str | None, crop: str | None
) -> dict[str, Any]:
    """An event with its frame, as JSON values, the keys in a fixed order.

    Args:
        message: of the frame in which it was found.
        labels: class names by label index.
        picture: name of the frame's picture; None where there is none.
        crop: name of the object's picture, likewise.

    Returns:
        `utc_ns` is the event's, not the frame's; `box` is the track's in that frame, None where
        the track is not in it.
    """
    passed_ns = event.pts_ns - message.pts_ns
    boxes = message.tracks.boxes_xyxy[message.tracks.ids == event.track]
    return {
        "camera": message.camera,
        "epoch": message.epoch,
        "frame": message.frame,
        "pts_ns": event.pts_ns,
        "utc_ns": None if message.utc_ns is None else message.utc_ns + passed_ns,
        "utc_source": message.utc_source,
        **as_json(event, labels),
        "box": rounded(boxes[0], BOX) if len(boxes) else None,
        "picture": picture,
        "crop": crop,
    }


def jsonl_line(values: dict[str, Any]) -> str:
    """A record as a JSON object, with its newline."""
    return compact(values) + "\n"


def csv_line(values: dict[str, Any]) -> str:
    """A record in `CSV_COLUMNS`, with its newline; what is None is empty."""
    x, y = values["at"]
    corners = zip(("x1", "y1", "x2", "y2"), values["box"] or (None,) * 4, strict=True)
    flat = values | {"x": x, "y": y} | dict(corners)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([flat[column] for column in CSV_COLUMNS])
    return text.getvalue()
