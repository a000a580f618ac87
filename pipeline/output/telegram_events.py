"""Events in a telegram: bytes ↔ event, as docs/telegram.md specifies them."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from pipeline.analytics.event import Event
from pipeline.errors import MessageError
from pipeline.output import telegram_texts
from pipeline.output.events import KINDS

#: pts_ns, track, label, kind, length of rule and direction, x, y, value; then the two texts.
RECORD = struct.Struct("<qIHBBB3f")
#: Longest texts, in bytes of UTF-8; a longer one is cut.
RULE_BYTES, DIRECTION_BYTES = 64, 64

_NO_LABEL = 0xFFFF
_U32 = 0xFFFFFFFF


def encode(events: Sequence[Event], room: int) -> list[tuple[bytes, int]]:
    """The events' bytes, in parts of at most `room` bytes, each with how many events it has.

    Raises:
        ValueError: an event alone does not fit, or its track's id is not below 2³².
    """
    parts: list[tuple[bytes, int]] = []
    for record in map(_packed, events):
        if len(record) > room:
            raise ValueError(f"an event of {len(record)} bytes does not fit into {room}")
        before, count = parts[-1] if parts else (b"", 0)
        if count and len(before) + len(record) <= room:
            parts[-1] = before + record, count + 1
        else:
            parts.append((record, 1))
    return parts


def _packed(event: Event) -> bytes:
    if event.track > _U32:
        raise ValueError(f"track id {event.track} is not below 2^32")
    rule = telegram_texts.cut(event.rule, RULE_BYTES)
    direction = telegram_texts.cut(event.direction, DIRECTION_BYTES)
    fixed = RECORD.pack(
        event.pts_ns,
        event.track,
        _NO_LABEL if event.label < 0 else event.label,
        KINDS.index(event.kind),
        len(rule),
        len(direction),
        *event.at,
        event.value,
    )
    return fixed + rule + direction


def decode(content: bytes, at: int, count: int, record_size: int) -> tuple[Event, ...]:
    """Reads the events that end the content; one of a kind that is not known is left out.

    Args:
        at: where the first begins.
        record_size: bytes of one without its texts.

    Raises:
        MessageError: ``bad_length``, ``bad_text`` or ``bad_value``.
    """
    if record_size < RECORD.size:
        raise MessageError("bad_length", f"events of {record_size} bytes, not {RECORD.size}")
    events = []
    for _ in range(count):
        if len(content) - at < record_size:
            raise MessageError("bad_length", f"{count} events do not fit into {len(content)} bytes")
        pts_ns, track, label, kind, *lengths, x, y, value = RECORD.unpack_from(content, at)
        if not (math.isfinite(x) and math.isfinite(y)) or math.isinf(value):
            raise MessageError("bad_value", "an event's place or value is not finite")
        rule, direction = telegram_texts.read(content, at + record_size, lengths)
        at += record_size + sum(lengths)
        if kind < len(KINDS):
            label = -1 if label == _NO_LABEL else label
            known = KINDS[kind]
            events.append(Event(rule, known, pts_ns, track, label, (x, y), direction, value))
    if at != len(content):
        raise MessageError("bad_length", f"the events end at {at}, {len(content)} bytes came")
    return tuple(events)
