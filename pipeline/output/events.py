"""An event as JSON values, and in words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pipeline.analytics.event import Event, EventKind

#: All kinds; the place in this tuple is a kind's number in a telegram.
KINDS: tuple[EventKind, ...] = get_args(EventKind)
#: What a kind's value counts; a kind without a value is not here.
UNITS: Mapping[EventKind, str] = {
    "leave": "s",
    "loiter": "s",
    "crowd": "objects",
    "calm": "s",
    "wrong_way": "degrees",
    "speeding": "km/h",
    "stop": "s",
    "abandoned": "s",
}
#: Places after the point.
_PIXEL, _VALUE = 2, 3


def as_json(event: Event, labels: Sequence[str]) -> dict[str, Any]:
    """The event's keys in a fixed order; its place rounded to 2 decimals, its value to 3.

    Args:
        labels: class names by label index; a label beyond them has the class None.
    """
    known = 0 <= event.label < len(labels)
    return {
        "rule": event.rule,
        "kind": event.kind,
        "direction": event.direction,
        "pts_ns": event.pts_ns,
        "track": event.track,
        "label": event.label,
        "class": labels[event.label] if known else None,
        "at": [round(float(pixel), _PIXEL) + 0.0 for pixel in event.at],  # never −0.0
        "value": round(float(event.value), _VALUE) + 0.0 if math.isfinite(event.value) else None,
        "unit": UNITS.get(event.kind, ""),
    }


def as_text(event: Event, labels: Sequence[str]) -> str:
    """The event as JSON text."""
    return compact(as_json(event, labels))


def in_words(event: Event) -> str:
    """What happened, for people: ``gate cross in``, ``yard loiter 31.2 s``."""
    parts = [event.rule, event.kind.replace("_", " "), event.direction]
    if math.isfinite(event.value):
        parts.append(f"{round(event.value, 1):g} {UNITS.get(event.kind, '')}".rstrip())
    return " ".join(filter(None, parts))


def compact(values: Mapping[str, Any]) -> str:
    """A JSON object without spaces, its keys in their order."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))
