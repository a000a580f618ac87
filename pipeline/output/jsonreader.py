"""JSON text → message; every departure from docs/message.schema.json is a `MessageError`."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import numpy as np

from pipeline.analytics.event import Analysis, Event
from pipeline.errors import MessageError
from pipeline.output.events import KINDS
from pipeline.output.jsonmessage import STATES, STATUSES, VERSION
from pipeline.output.message import SEQUENCE_MODULUS, UTC_SOURCES, Message
from pipeline.packet import Status
from pipeline.tracking.track import Attribute, Tracks

_I64 = 1 << 63
_I31 = (1 << 31) - 1
_F32_MAX = float(np.finfo(np.float32).max)


def decode(text: bytes | str) -> Message:
    """The message of one datagram or of one line of a file; keys that are not known are ignored.

    Raises:
        MessageError: with the reason ``not_json``, ``unknown_version`` or ``bad_value``; the latter
            names the key.
    """
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MessageError("not_json", str(error)) from None
    if not isinstance(found, dict):
        raise MessageError("bad_value", f"expected an object, got {type(found).__name__}")
    if found.get("version", VERSION) != VERSION:
        raise MessageError("unknown_version", f"expected {VERSION}, got {found['version']!r:.40}")
    return _message(_Fields(found, ""))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _message(fields: _Fields) -> Message:
    fragments = fields.integer("fragments", 1, _I31, default=1)
    utc_ns = fields.found.get("utc_ns")
    age_ms = fields.found.get("age_ms")
    return Message(
        camera=fields.text("camera"),
        epoch=fields.integer("epoch", 0, _I64 - 1),
        frame=fields.integer("frame", 0, _I64 - 1),
        pts_ns=fields.integer("pts_ns", -_I64, _I64 - 1),
        width=fields.integer("width", 0, _I31),
        height=fields.integer("height", 0, _I31),
        status=Status(fields.choice("status", STATUSES)),
        reason=fields.text("reason"),
        engine=fields.text("engine"),
        tracks=_tracks(fields.records("tracks")),
        utc_ns=None if utc_ns is None else fields.integer("utc_ns", -_I64, _I64 - 1),
        utc_source=UTC_SOURCES[fields.choice("utc_source", UTC_SOURCES)],
        session=_session(fields),
        sequence=fields.integer("sequence", 0, SEQUENCE_MODULUS - 1, default=0),
        age_ms=None if age_ms is None else fields.numbers("age_ms", 1)[0],
        fragment=fields.integer("fragment", 0, fragments - 1, default=0),
        fragments=fragments,
        last=fields.flag("last"),
        analysis=_analysis(fields) if "events" in fields.found else None,
    )


def _session(fields: _Fields) -> int:
    text = fields.found.get("session", "0" * 16)
    hexadecimal = isinstance(text, str) and len(text) == 16 and set(text) <= set("0123456789abcdef")
    return int(text, 16) if hexadecimal else fields.fail("session", "16 hexadecimal digits")


def _tracks(rows: list[_Fields]) -> Tracks:
    if not rows:
        return Tracks.empty()
    return Tracks(
        ids=np.array([row.integer("id", 0, _I64 - 1) for row in rows], np.int64),
        boxes_xyxy=np.array([row.numbers("box", 4) for row in rows], np.float32),
        scores=np.array([row.numbers("score", 1)[0] for row in rows], np.float32),
        labels=np.array([row.integer("label", 0, _I31) for row in rows], np.int32),
        states=np.array([row.choice("state", STATES) for row in rows], np.uint8),
        velocities=np.array([row.numbers("velocity", 2) for row in rows], np.float32),
        ages_s=np.array([row.number_or_nan("age_s") for row in rows], np.float32),
        unseen_s=np.array([row.number_or_nan("unseen_s") for row in rows], np.float32),
        attributes=_attributes([row.objects("attributes") for row in rows]),
    )


def _attributes(told: list[dict[str, _Fields]]) -> dict[str, Attribute]:
    """The attributes of tracks of which these are `told`, by name."""
    found = {}
    for name in sorted({name for own in told for name in own}):
        values = [own[name].word("value") if name in own else "" for own in told]
        shares = [own[name].numbers("share", 1)[0] if name in own else 0.0 for own in told]
        found[name] = Attribute(np.array(values), np.array(shares, np.float32))
    return found


def _analysis(fields: _Fields) -> Analysis:
    tracks = fields.records("tracks")
    known = any("speed_kmh" in track.found for track in tracks)
    speeds_kmh = [track.number_or_nan("speed_kmh") for track in tracks] if known else []
    return Analysis(
        tuple(_event(event) for event in fields.records("events")),
        {rule: _tally(counts) for rule, counts in fields.objects("tallies").items()},
        np.array(speeds_kmh, np.float32),
    )


def _event(fields: _Fields) -> Event:
    x, y = fields.numbers("at", 2)
    return Event(
        rule=fields.word("rule"),
        kind=KINDS[fields.choice("kind", KINDS)],
        pts_ns=fields.integer("pts_ns", -_I64, _I64 - 1),
        track=fields.integer("track", 0, _I64 - 1),
        label=fields.integer("label", -1, _I31),
        at=(x, y),
        direction=fields.text("direction"),
        value=fields.number_or_nan("value"),
    )


def _tally(fields: _Fields) -> dict[str, int]:
    return {
        name: fields.integer(name, 0, _I64 - 1) if _writable(name) else fields.fail(name, "text")
        for name in fields.found
    }


class _Fields:
    """An object's values by key, each checked as it is taken.

    Args:
        found: the parsed object.
        where: written before a key in an error.
    """

    def __init__(self, found: dict[str, Any], where: str) -> None:
        self.found = found
        self._where = where

    def fail(self, key: str, expected: str) -> NoReturn:
        """Raises the `MessageError` for a key."""
        got = f"got {self.found[key]!r:.40}" if key in self.found else "it is missing"
        raise MessageError("bad_value", f"{self._where}{key}: expected {expected}, {got}")

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """An integer in low..high."""
        value = self.found.get(key, default)
        if type(value) is not int or not low <= value <= high:
            self.fail(key, f"an integer in {low}..{high}")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false where it is missing."""
        value = self.found.get(key, False)
        return value if isinstance(value, bool) else self.fail(key, "true or false")

    def text(self, key: str) -> str:
        """A string that can be written as UTF-8."""
        value = self.found.get(key)
        return value if isinstance(value, str) and _writable(value) else self.fail(key, "a string")

    def word(self, key: str) -> str:
        """A string that is not empty."""
        return self.text(key) or self.fail(key, "a string that is not empty")

    def objects(self, key: str) -> dict[str, _Fields]:
        """An object of objects; an empty one where it is missing."""
        value = self.found.get(key, {})
        if not isinstance(value, dict) or not all(
            isinstance(inner, dict) and _writable(name) for name, inner in value.items()
        ):
            self.fail(key, "an object of objects")
        return {
            name: _Fields(inner, f"{self._where}{key}.{name}.") for name, inner in value.items()
        }

    def records(self, key: str) -> list[_Fields]:
        """A list of objects."""
        found = self.found.get(key)
        if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
            self.fail(key, "a list of objects")
        return [_Fields(record, f"{self._where}{key}[{i}].") for i, record in enumerate(found)]

    def choice(self, key: str, names: tuple[str, ...]) -> int:
        """The place in `names` of a string."""
        value = self.found.get(key)
        return names.index(value) if value in names else self.fail(key, f"one of {names}")

    def numbers(self, key: str, count: int) -> list[float]:
        """A list of `count` finite numbers, or one number where `count` is 1."""
        value = self.found.get(key)
        values: list[Any] = value if isinstance(value, list) else [value]
        fit = all(type(v) in (int, float) and abs(v) <= _F32_MAX for v in values)
        if not fit or len(values) != count or isinstance(value, list) != (count > 1):
            self.fail(key, f"{count} numbers in the range of float32" if count > 1 else "a number")
        return [float(v) for v in values]

    def number_or_nan(self, key: str) -> float:
        """A finite number; NaN where it is null or missing."""
        return float("nan") if self.found.get(key) is None else self.numbers(key, 1)[0]


def _writable(text: str) -> bool:
    """Whether it can be written as UTF-8, which half of a surrogate pair cannot."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)
