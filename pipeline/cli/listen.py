"""``sightline listen``: receives messages over UDP, prints them, and counts what did not come."""

from __future__ import annotations

import json as json_text
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated, TextIO

import typer

from pipeline.analytics.event import Event
from pipeline.cli.options import Json
from pipeline.errors import OutputError
from pipeline.output.envelope import parse_key
from pipeline.output.events import in_words
from pipeline.output.jsonmessage import encode_whole
from pipeline.output.listen import Listener
from pipeline.output.message import Message
from pipeline.output.receiver import Statistics

#: The environment variable that has the shared key.
KEY_VARIABLE = "SIGHTLINE_UDP_KEY"
_SHOWN_TRACKS = 8


def command(
    bind: Annotated[str, typer.Option(help="Where to listen, host:port.")] = "127.0.0.1:9000",
    key: Annotated[
        Path | None,
        typer.Option(help=f"A file with the shared key, else ${KEY_VARIABLE}; see telegram.md."),
    ] = None,
    json: Json = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Writes JSON lines to this file instead.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Ends when nothing came for so long, seconds.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Ends after so many messages.")] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exits with 1 if anything was lost, malformed or refused."),
    ] = False,
) -> None:
    """Receives telegrams and JSON messages until Ctrl-C; at the end says what was lost.

    It answers on loopback only unless --bind says otherwise, such as 0.0.0.0:9000.
    """
    with Listener(bind, _key(key)) as listener, _file(out) as file, _stopped_by_signals(listener):
        print(f"listening at {listener.address}", file=sys.stderr, flush=True)
        for message in islice(listener.messages(timeout), count):
            text = encode_whole(message) if json or out else line(message)
            print(text, file=file, flush=True)
    statistics = listener.statistics
    print(_account(statistics, json), file=sys.stderr)
    bad = statistics.malformed or statistics.refused
    if strict and (statistics.lost or statistics.incomplete or bad):
        raise typer.Exit(1)


def line(message: Message) -> str:
    """For people: camera, frame, which part of how many, time, status, the first few tracks.

    Behind it a line an event.
    """
    tracks = message.tracks
    parts = [
        f"{track_id}:{label}@{x1:.0f},{y1:.0f},{x2:.0f},{y2:.0f}"
        for track_id, label, (x1, y1, x2, y2) in zip(
            tracks.ids[:_SHOWN_TRACKS].tolist(),
            tracks.labels[:_SHOWN_TRACKS].tolist(),
            tracks.boxes_xyxy[:_SHOWN_TRACKS].tolist(),
            strict=True,
        )
    ]
    more = f" +{len(tracks) - _SHOWN_TRACKS}" if len(tracks) > _SHOWN_TRACKS else ""
    status = message.status.name.lower() + (f" ({message.reason})" if message.reason else "")
    part = f" {message.fragment + 1}/{message.fragments}" if message.fragments > 1 else ""
    told = (
        f"{message.camera} #{message.frame}{part} {message.pts_ns / 1e9:.3f} s {status}"
        f" {len(tracks)} tracks {' '.join(parts)}{more}"
    ).rstrip()
    events = message.analysis.events if message.analysis is not None else ()
    return "\n".join([told, *(_event(event) for event in events)])


def _event(event: Event) -> str:
    whose = f" {event.track}:{event.label}" if event.track else ""
    x, y = event.at
    return f"  ! {event.pts_ns / 1e9:.3f} s {in_words(event)}{whose}@{x:.0f},{y:.0f}"


def _account(statistics: Statistics, json: bool) -> str:
    if json:
        facts = asdict(statistics)
        return json_text.dumps({"type": "statistics", **facts})
    text = (
        f"{statistics.messages} messages, {statistics.datagrams} datagrams, "
        f"{statistics.streams} streams: "
        f"{statistics.lost} lost, {statistics.incomplete} incomplete, "
        f"{statistics.reordered} reordered, {statistics.duplicates} duplicates, "
        f"{statistics.too_late} too late"
    )
    return f"{text}; malformed: {_by_reason(statistics.malformed)}" + (
        f"; refused: {_by_reason(statistics.refused)}" if statistics.refused else ""
    )


def _by_reason(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason} ×{count}" for reason, count in counts.items()) or "none"


def _key(path: Path | None) -> bytes | None:
    """The shared key; never an argument itself, which every user of the machine could read."""
    name, text = f"${KEY_VARIABLE}", os.environ.get(KEY_VARIABLE)
    if path is not None:
        name = f"--key {path}"
        try:
            text = path.read_text(encoding="ascii", errors="replace")
        except OSError as error:
            raise OutputError(f"{name}: cannot be read: {error.strerror}") from None
    try:
        return None if text is None else parse_key(text)
    except ValueError as error:
        raise OutputError(f"{name}: {error}") from None


def _file(path: Path | None) -> nullcontext[TextIO] | TextIO:
    if path is None:
        return nullcontext(sys.stdout)
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"--out: {path} cannot be written: {error.strerror}; choose another path"
        ) from None


@contextmanager
def _stopped_by_signals(listener: Listener) -> Iterator[None]:
    """SIGINT and SIGTERM end the listening, so that the account is still printed."""
    before = {
        number: signal.signal(number, lambda *_: listener.stop())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
