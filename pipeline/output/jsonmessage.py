"""Message as JSON: one object a message; docs/message.schema.json is its schema.

The same message always gives the same text: keys in a fixed order; boxes, velocities, speeds and
events' places rounded to 2 decimals, scores and shares to 4, times in seconds and events' values
to 3. What differs from run to run (session, sequence, age) is in the envelope, which a file leaves
out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.output import events
from pipeline.output.message import Message
from pipeline.packet import Status
from pipeline.tracking.track import Tracks, TrackState

VERSION = 1
STATUSES = tuple(status.name.lower() for status in Status)
STATES = tuple(state.name.lower() for state in TrackState)
#: Places after the point, by column.
BOX, SCORE, SECONDS = 2, 4, 3


def encode_line(message: Message, labels: Sequence[str] = ()) -> str:
    """A message without envelope, as a line of a JSONL file without its newline.

    Args:
        labels: class names by label index; a label beyond them has the class ``null``.
    """
    return _text(_result(message), _Parts.of(message, labels))


def encode_whole(message: Message, labels: Sequence[str] = ()) -> str:
    """A message with its envelope and its own fragment numbers, of any length."""
    head = _envelope(message, message.fragment, message.fragments) | _result(message)
    return _text(head, _Parts.of(message, labels))


def encode(message: Message, labels: Sequence[str] = (), payload: int = 65507) -> list[bytes]:
    """The datagrams that tell a whole message, at least one; each a JSON object of its own.

    Args:
        payload: most bytes of one datagram; a single track, event or rule's tally is never cut.
    """
    result = _result(message)
    whole = _Parts.of(message, labels)
    sizes = [len(text.encode()) + 1 for text in (*whole.events, *whole.tallies, *whole.tracks)]
    # Room for the widest fragment numbers, so that the cut does not depend on their digits.
    widest = len(sizes)
    empty = whole.between(0, 0)
    around = len(_text(_envelope(message, widest, widest) | result, empty).encode())
    cuts = _cut(sizes, payload - around)
    return [
        _text(_envelope(message, i, len(cuts)) | result, whole.between(*cut)).encode()
        for i, cut in enumerate(cuts)
    ]


class _Parts(NamedTuple):
    """What a message is made of, each a JSON text that is never cut.

    In this order they go into fragments: what happened comes first.
    """

    analysed: bool
    events: Sequence[str]
    tallies: Sequence[str]
    tracks: Sequence[str]

    @staticmethod
    def of(message: Message, labels: Sequence[str]) -> _Parts:
        analysis = message.analysis
        if analysis is None:
            return _Parts(False, (), (), _track_texts(message.tracks, labels))
        return _Parts(
            True,
            [events.as_text(event, labels) for event in analysis.events],
            [
                f"{json.dumps(rule, ensure_ascii=False)}:{events.compact(counts)}"
                for rule, counts in analysis.tallies.items()
            ],
            _track_texts(message.tracks, labels, rounded(analysis.speeds_kmh, BOX)),
        )

    def between(self, start: int, stop: int) -> _Parts:
        """The parts from one place to another, counted over all of them."""
        kept: list[Sequence[str]] = []
        for texts in self[1:]:
            kept.append(texts[max(start, 0) : max(stop, 0)])
            start, stop = start - len(texts), stop - len(texts)
        return _Parts(self.analysed, *kept)


def _cut(sizes: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Consecutive spans whose sizes sum to `room` at most, as few as possible, at least one."""
    parts = []
    start = total = 0
    for i, size in enumerate(sizes):
        if total + size > room and i > start:
            parts.append((start, i))
            start, total = i, 0
        total += size
    return [*parts, (start, len(sizes))]


def _envelope(message: Message, fragment: int, fragments: int) -> dict[str, Any]:
    age_ms = message.age_ms
    return {
        "version": VERSION,
        "session": f"{message.session:016x}",
        "sequence": message.sequence,
        "fragment": fragment,
        "fragments": fragments,
        "age_ms": None if age_ms is None else round(age_ms, 1),
        **({"last": True} if message.last else {}),
    }


def _result(message: Message) -> dict[str, Any]:
    return {
        "camera": message.camera,
        "epoch": message.epoch,
        "frame": message.frame,
        "pts_ns": message.pts_ns,
        "utc_ns": message.utc_ns,
        "utc_source": message.utc_source,
        "width": message.width,
        "height": message.height,
        "status": STATUSES[message.status],
        "reason": message.reason,
        "engine": message.engine,
    }


def _text(head: dict[str, Any], parts: _Parts) -> str:
    opened = f'{events.compact(head)[:-1]},"tracks":[{",".join(parts.tracks)}]'
    if parts.analysed:
        opened += f',"events":[{",".join(parts.events)}],"tallies":{{{",".join(parts.tallies)}}}'
    return opened + "}"


def _track_texts(
    tracks: Tracks, labels: Sequence[str], speeds_kmh: Sequence[float] = ()
) -> list[str]:
    names = {
        label: json.dumps(labels[label], ensure_ascii=False) if 0 <= label < len(labels) else "null"
        for label in set(tracks.labels.tolist())
    }
    texts = [
        f'{{"id":{track},"label":{label},"class":{names[label]},"state":"{STATES[state]}",'
        f'"score":{score},"box":[{x1},{y1},{x2},{y2}],"velocity":[{vx},{vy}],'
        f'"age_s":{_or_null(age)},"unseen_s":{_or_null(unseen)}}}'
        for track, label, state, score, (x1, y1, x2, y2), (vx, vy), age, unseen in rows(tracks)
    ]
    if speeds_kmh:
        texts = [
            f'{text[:-1]},"speed_kmh":{_or_null(speed)}}}'
            for text, speed in zip(texts, speeds_kmh, strict=True)
        ]
    return [
        f'{text[:-1]},"attributes":{told}}}' if told else text
        for text, told in zip(texts, attribute_texts(tracks), strict=True)
    ]


def attribute_texts(tracks: Tracks) -> list[str]:
    """Each track's known attributes as an object, by name; empty where there are none."""
    objects: list[dict[str, Any]] = [{} for _ in range(len(tracks))]
    for name, attribute in sorted(tracks.attributes.items()):
        columns = attribute.values.tolist(), rounded(attribute.shares, SCORE)
        for told, value, share in zip(objects, *columns, strict=True):
            if value:
                told[name] = {"value": value, "share": share}
    return [events.compact(told) if told else "" for told in objects]


def rows(tracks: Tracks) -> Iterator[tuple[Any, ...]]:
    """Each track as Python numbers: id, label, state, score, box, velocity, age, unseen."""
    return zip(
        tracks.ids.tolist(),
        tracks.labels.tolist(),
        tracks.states.tolist(),
        rounded(tracks.scores, SCORE),
        rounded(tracks.boxes_xyxy, BOX),
        rounded(tracks.velocities, BOX),
        rounded(tracks.ages_s, SECONDS),
        rounded(tracks.unseen_s, SECONDS),
        strict=True,
    )


def rounded(column: NDArray[np.floating[Any]], places: int) -> list[Any]:
    """The column as Python numbers, rounded half to even; never −0.0."""
    return (column.astype(np.float64).round(places) + 0.0).tolist()  # type: ignore[no-any-return]


def _or_null(number: float) -> float | str:
    return number if number == number else "null"
