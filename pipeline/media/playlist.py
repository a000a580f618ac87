"""Several sources played one after another as one."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from pipeline.errors import SourceError
from pipeline.media.source import Source, SourceFrame, SourceInfo
from pipeline.media.timeline import NS_PER_S

_DEFAULT_FPS = 25.0


class Playlist(Source):
    """Plays sources one after another: `pts_ns` and `index` go on, `epoch` increases with each.

    So time never stands still or runs back for who measures it, and who follows objects can see
    where the scene was cut. A source that cannot be opened is counted as ``unreadable_source`` and
    left out; if none of them can, the first reason is raised.

    Args:
        makers: make the sources, which must not be live; one is open at a time.
        loop: begin again after the last one, until a whole round gave nothing.
    """

    def __init__(self, makers: Sequence[Callable[[], Source]], *, loop: bool = False) -> None:
        super().__init__()
        self._makers, self._loop = makers, loop
        self._interrupted = threading.Event()
        self._current: Source | None = None
        self._frames: Iterator[SourceFrame] = iter(())

    def open(self) -> SourceInfo:
        opened = self._open_each()
        first = next(opened)
        self._frames = self._play(chain((first,), opened))
        # How long the others are is not known before they are opened.
        return replace(first[1], frames=None, duration_ns=None)

    def frames(self) -> Iterator[SourceFrame]:
        return self._frames

    def interrupt(self) -> None:
        self._interrupted.set()
        if current := self._current:
            current.interrupt()

    def close(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            self._faults.update(current.faults)
            current.close()

    @property
    def faults(self) -> Mapping[str, int]:
        current = self._current
        return self._faults + Counter(current.faults if current else {})

    def _open_each(self) -> Iterator[tuple[Source, SourceInfo]]:
        """The sources that can be opened; each is closed before the next one is opened."""
        opened = 1
        while opened:
            opened = 0
            reasons = []
            for make in self._makers:
                self.close()
                self._current = source = make()
                if self._interrupted.is_set():
                    return
                try:
                    info = source.open()
                except SourceError as error:
                    self._faults["unreadable_source"] += 1
                    reasons.append(error)
                else:
                    opened += 1
                    yield source, info
            if not opened:
                raise reasons[0]
            if not self._loop:
                return

    def _play(self, opened: Iterable[tuple[Source, SourceInfo]]) -> Iterator[SourceFrame]:
        """The frames of all sources on one time line."""
        index, end_ns, epoch = 0, 0, -1
        for number, (source, info) in enumerate(opened):
            shift_ns: int | None = None if number else 0
            first_index, first_epoch = index, epoch + 1
            for frame in source.frames():
                if shift_ns is None:
                    shift_ns = end_ns - frame.pts_ns
                index = first_index + frame.index + 1
                epoch = first_epoch + frame.epoch
                pts_ns = frame.pts_ns + shift_ns
                end_ns = pts_ns + round(NS_PER_S / (info.fps or _DEFAULT_FPS))
                yield replace(frame, index=index - 1, pts_ns=pts_ns, epoch=epoch)
            if self._interrupted.is_set():
                return
