"""A camera that stays: one connection after another, for months."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace

from pipeline.clock import Clock, SystemClock
from pipeline.errors import SourceError
from pipeline.media.backoff import Backoff
from pipeline.media.connection import TICK_S, Connect, Shot
from pipeline.media.livetime import LiveTimeLine
from pipeline.media.source import Condition, Source, SourceFrame, SourceInfo, SourceState
from pipeline.media.timeline import NS_PER_S
from pipeline.media.watch import FreezeWatch, StallWatch

_log = logging.getLogger(__name__)
_NOTHING_YET = SourceInfo(0, 0, None, None, None, "", True, "")


class LiveSource(Source):
    """Connects, and connects again, until it is interrupted; it never fails and never ends.

    There is one connection at a time: the old one is closed before the next attempt begins. While
    no picture comes, for whatever reason, the last one is given again every `stall_s`, marked.

    Args:
        name: what people may see of the camera's address.
        connect: makes one connection.
        stall_s: longest silence that is not told.
        freeze_s: longest repetition of pictures that is not told; 0: it never is.
        retry_s: longest pause between the beginnings of two attempts.
        clock: for all of it.
        chance: shortens the pauses between attempts.
    """

    live = True

    def __init__(
        self,
        name: str,
        connect: Connect,
        *,
        stall_s: float = 2.0,
        freeze_s: float = 10.0,
        retry_s: float = 2.0,
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        super().__init__()
        self._name, self._connect = name, connect
        self._retry_ns = round(retry_s * NS_PER_S)
        self._clock = clock or SystemClock()
        self._interrupted = threading.Event()
        self._backoff = Backoff(retry_s, chance)
        self._stall, self._freeze = StallWatch(stall_s), FreezeWatch(freeze_s)
        self._timeline = LiveTimeLine(self._faults)
        self._last: Shot | None = None
        self._index = 0
        self._condition = Condition(SourceState.CONNECTING, "connecting", self._clock.now_ns())
        self._known = _NOTHING_YET
        self._frames = self._sessions()

    def open(self) -> SourceInfo:
        """Opens nothing yet: a camera may be away for as long as it likes.

        Returns:
            Nothing known yet; `info` tells more once there was a picture.
        """
        return _NOTHING_YET

    def frames(self) -> Iterator[SourceFrame]:
        return self._frames

    def _sessions(self) -> Generator[SourceFrame, None, None]:
        """One connection after another, and what comes between them."""
        while not self._interrupted.is_set():
            began_ns = self._clock.now_ns()
            sessions = self._condition.sessions
            try:
                yield from self._session()
                reason = f"{self._name}: the camera ended the stream"
            except SourceError as error:
                reason = str(error)
            lived_ns = self._clock.now_ns() - began_ns
            if self._condition.sessions > sessions and lived_ns >= self._retry_ns:
                self._backoff.reset()
            if not self._interrupted.is_set():
                self._lost(reason)
                yield from self._wait_until(began_ns + round(self._backoff.next_s() * NS_PER_S))

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self._interrupted.set()
        self._frames.close()
        self._last = None

    def _session(self) -> Iterator[SourceFrame]:
        """One connection, from its first byte to its last."""
        connected = False
        with closing(self._connect(self._faults)) as shots:
            for shot in shots:
                if self._interrupted.is_set():
                    return
                if shot is None:
                    yield from self._overdue()
                    continue
                if not connected:
                    connected = True
                    self._came_back()
                yield from self._new(shot)

    def _wait_until(self, moment_ns: int) -> Iterator[SourceFrame]:
        while (left_ns := moment_ns - self._clock.now_ns()) > 0:
            if self._clock.wait(self._interrupted, min(TICK_S, left_ns / NS_PER_S)):
                return
            yield from self._overdue()

    def _new(self, shot: Shot) -> Iterator[SourceFrame]:
        last, self._last = self._last, shot
        self._stall.heard(shot.arrived_ns)
        if last is None or shot.changed or _shape(last) != _shape(shot):
            self._changed(last, shot)
        pts_ns = self._timeline.place(shot.stamp_ns, shot.arrived_ns)
        if self._freeze.frozen(shot.picture.gray(), shot.arrived_ns):
            if self._condition.state is not SourceState.FROZEN:
                self._faults["frozen"] += 1
            self._enter(SourceState.FROZEN, "the same picture comes again and again")
        else:
            self._enter(SourceState.LIVE)
        if pts_ns is not None:
            yield self._frame(shot, pts_ns)

    def _overdue(self) -> Iterator[SourceFrame]:
        """The last picture again, where none has come for too long."""
        now_ns = self._clock.now_ns()
        silent_s = self._stall.overdue_s(now_ns)
        if not silent_s or self._last is None:
            return
        reason = f"no picture for {silent_s:.1f} s"
        if self._condition.state is not SourceState.RETRYING:
            if self._condition.state is not SourceState.STALLED:
                self._faults["stalled"] += 1
            self._enter(SourceState.STALLED, reason)
        yield self._frame(self._last, self._timeline.stalled(now_ns), reason)

    def _frame(self, shot: Shot, pts_ns: int, stalled: str = "") -> SourceFrame:
        index = self._index
        self._index += 1
        camera_says = None if stalled else shot.utc_ns
        return SourceFrame(
            index,
            pts_ns,
            shot.picture,
            self._timeline.epoch,
            "" if stalled else shot.damaged,
            self._clock.utc_ns() if camera_says is None else camera_says,
            "host" if camera_says is None else "rtcp",
            stalled,
        )

    def _changed(self, last: Shot | None, shot: Shot) -> None:
        """Notes how the pictures come from here on."""
        coding, picture = shot.coding, shot.picture
        if last is not None:
            self._timeline.anew()
            self._faults[_difference(last, shot)] += 1
        self._known = SourceInfo(
            picture.width,
            picture.height,
            coding.fps,
            None,
            None,
            coding.codec,
            True,
            coding.decoder,
        )

    def _came_back(self) -> None:
        sessions = self._condition.sessions + 1
        self._timeline.anew()
        self._condition = replace(self._condition, sessions=sessions)
        _log.info("%s: connected%s", self._name, f" (session {sessions})" * (sessions > 1))

    def _lost(self, reason: str) -> None:
        if self._condition.state is not SourceState.RETRYING:
            if self._condition.sessions:
                self._faults["connection_lost"] += 1
            _log.warning("%s; trying again for ever", reason)
        elif reason != self._condition.last_error:
            _log.warning("%s", reason)
        self._condition = replace(self._condition, last_error=reason)
        self._enter(SourceState.RETRYING, reason)

    def _enter(self, state: SourceState, reason: str = "") -> None:
        before = self._condition
        if state is not before.state:
            now_ns = self._clock.now_ns()
            self._condition = replace(before, state=state, reason=reason, since_ns=now_ns)
        elif reason != before.reason:
            self._condition = replace(before, reason=reason)


def _shape(shot: Shot) -> tuple[str, int, int]:
    return shot.coding.codec, shot.picture.width, shot.picture.height


def _difference(last: Shot, shot: Shot) -> str:
    if last.coding.codec != shot.coding.codec:
        return "codec_changed"
    return "size_changed" if _shape(last) != _shape(shot) else shot.changed
