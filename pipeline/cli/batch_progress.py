"""What a batch looks like while it runs: bars on a terminal, calm lines, JSON lines, or nothing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.batch.clip import Clip
from pipeline.batch.progress import Observer, Standing, length_s
from pipeline.cli.console import numbers
from pipeline.cli.progress import Style
from pipeline.media.uri import redact
from pipeline.page.numbers import clock, quantity

_LINE_S, _JSON_S = 10.0, 1.0
_BAR = 24  # columns
#: Clips shown at once; the others are in the total.
_MOST_SHOWN = 12


@contextmanager
def batch_progress(style: Style) -> Iterator[Observer]:
    """What to tell of a batch while the block runs; on stderr, JSON on stdout."""
    console = Console(stderr=True, force_terminal=True if style is Style.RICH else None)
    if style is Style.AUTO:
        style = Style.RICH if console.is_terminal and not console.is_dumb_terminal else Style.PLAIN
    if style is Style.RICH:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield Bars(live)
    else:
        yield {Style.PLAIN: Lines, Style.JSON: JsonLines}.get(style, Observer)()


class Lines(Observer):
    """A line now and then, for people who read a log."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def note(self, text: str) -> None:
        _print(text)

    def probed(self, clip: Clip, done: int, of: int) -> None:
        for text in told_of(clip):
            _print(text)
        if done == of:
            _print(f"{of} inputs probed")
        elif self._is_time():
            _print(f"probing: {done} of {of} inputs")

    def progress(self, standing: Standing) -> None:
        if self._is_time():
            _print(f"{standing.share:6.1%}  {summary(standing)}")

    def ended(self, clip: str, error: str) -> None:
        if error:
            _print(f"{clip}: failed: {error}")

    def _is_time(self) -> bool:
        """Whether it is time for the next line; not at once, for what is over soon needs none."""
        now_s = time.monotonic()
        due = self._next_s and now_s >= self._next_s
        if due or not self._next_s:
            self._next_s = now_s + _LINE_S
        return bool(due)


class JsonLines(Observer):
    """A JSON object a line, for programs; see docs/batch.md."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def note(self, text: str) -> None:
        self._line("note", text=text)

    def probed(self, clip: Clip, done: int, of: int) -> None:
        self._line("probed", done=done, of=of, clip=plain(clip))

    def progress(self, standing: Standing) -> None:
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _JSON_S
            self._line("progress", **asdict(standing))

    def ended(self, clip: str, error: str) -> None:
        self._line("clip", clip=clip, error=error)

    @staticmethod
    def _line(kind: str, **values: Any) -> None:
        print(json.dumps({"type": kind, **values}), flush=True)


class Bars(Observer):
    """Bars that move: one for all, and one for each clip that is worked on."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def note(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)

    def probed(self, clip: Clip, done: int, of: int) -> None:
        for text in told_of(clip):
            self.note(text)
        head = Table.grid(padding=(0, 1))
        head.add_row("probing", _bar(done / of), f"{done} of {of}", Text(clip.name, "dim"))
        self._live.update(head, refresh=True)

    def progress(self, standing: Standing) -> None:
        self._live.update(bars(standing), refresh=True)

    def ended(self, clip: str, error: str) -> None:
        if error:
            self.note(f"{clip}: failed: {error}")


def bars(standing: Standing) -> Group:
    """How far a batch is, as bars."""
    head = Table.grid(padding=(0, 1))
    head.add_row("all", _bar(standing.share), f"{standing.share:.1%}")
    clips = Table("video", "", *numbers("looked at", "followed", "frames"), box=None)
    for clip in standing.at_work[:_MOST_SHOWN]:
        shares = f"{clip.seen:.0%}", f"{clip.followed:.0%}"
        clips.add_row(clip.name, _bar((clip.seen + clip.followed) / 2), *shares, str(clip.frames))
    others = len(standing.at_work) - _MOST_SHOWN
    tail = [Text(f"and {others} more", "dim")] if others > 0 else []
    hint = Text("Ctrl-C ends in order; the same command goes on later", "dim")
    return Group(head, Text(summary(standing)), Text(), clips, *tail, hint)


def summary(standing: Standing) -> str:
    """How far a batch is, in one line."""
    failed = f", {standing.failed} failed" if standing.failed else ""
    left = f"; {clock(standing.eta_s)} left" if standing.eta_s is not None else ""
    return (
        f"{standing.complete} of {standing.clips} videos{failed}; {standing.fps:.0f} fps, "
        f"{standing.speed:.1f} × real time{left}; {standing.dropped} dropped; "
        f"{quantity(sum(standing.memory.values()), 'B')} in {len(standing.memory)} processes"
    )


def told_of(clip: Clip) -> list[str]:
    """What people should know of an input that was probed."""
    if clip.error:
        return [f"{clip.name}: cannot be read: {clip.error}"]
    return [f"{clip.name}: {note}" for note in clip.notes]


def plain(clip: Clip) -> dict[str, Any]:
    """A clip for programs, without secrets."""
    segments = len(clip.segments)
    return asdict(clip) | {"uri": redact(clip.uri), "segments": segments}


def length(clip: Clip) -> str:
    """Of a clip, for people."""
    return clock(length_s(clip)) if length_s(clip) else "?"


def _bar(share: float) -> ProgressBar:
    return ProgressBar(total=1.0, completed=share, width=_BAR)


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
