"""What is worth a line in the log: the differences between two looks at a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from logging import ERROR, INFO, WARNING
from typing import Any

from pipeline.health import Health, Kind
from pipeline.media.source import Condition, SourceState
from pipeline.report import RunReport

#: Drops are summed up so often, seconds of the run.
_DROPS_S = 60.0
_GONE = frozenset({SourceState.STALLED, SourceState.FROZEN, SourceState.RETRYING})
_NEWS = {
    SourceState.STALLED: "camera stalled",
    SourceState.FROZEN: "camera frozen",
    SourceState.RETRYING: "camera retrying",
    SourceState.PAUSED: "camera paused",
    SourceState.ENDED: "camera ended",
}


@dataclass(frozen=True)
class Event:
    """One line.

    Attributes:
        level: `logging.INFO`, `logging.WARNING` or `logging.ERROR`.
        text: what happened, in constant words.
        about: to whom, why, for how long.
    """

    level: int
    text: str
    about: Mapping[str, Any] = field(default_factory=dict)


class Journal:
    """Writes down what changed since it was last shown a run."""

    def __init__(self) -> None:
        self._conditions: dict[str, Condition] = {}
        self._gone_ns: dict[str, int] = {}
        self._alarms: dict[tuple[Kind, str], float] = {}
        self._level = ""
        self._restarts: dict[str, int] = {}
        self._failures = 0
        self._drops: Counter[tuple[str, str, str]] = Counter()
        self._drops_s = 0.0

    def note(self, report: RunReport, health: Health) -> list[Event]:
        """What is new, in the order in which it is to be read."""
        return [
            *self._note_cameras(report),
            *self._note_alarms(report.wall_s, health),
            *self._note_governor(report),
            *self._note_restarts(report),
            *self._note_failures(report),
            *self._note_drops(report),
        ]

    def _note_cameras(self, report: RunReport) -> Iterator[Event]:
        now = {camera.id: camera.condition for camera in report.cameras}
        for camera in self._conditions.keys() - now.keys():
            yield Event(INFO, "camera removed", {"camera": camera})
            self._gone_ns.pop(camera, None)
        for camera, condition in now.items():
            before = self._conditions.get(camera, Condition(SourceState.CONNECTING))
            yield from self._note_camera(camera, condition, before)
        self._conditions = now

    def _note_camera(self, camera: str, now: Condition, before: Condition) -> Iterator[Event]:
        about = {"camera": camera, "sessions": now.sessions}
        if now.state is SourceState.LIVE:
            if camera in self._gone_ns:
                after_s = (now.since_ns - self._gone_ns.pop(camera)) / 1e9
                why = {"last_error": now.last_error} if now.last_error else {}
                yield Event(INFO, "camera back", {**about, "after_s": round(after_s, 3), **why})
            elif before.sessions and now.sessions > before.sessions:  # gone between two looks
                yield Event(INFO, "camera back", {**about, "last_error": now.last_error})
            elif before.state is not SourceState.LIVE:
                yield Event(INFO, "camera connected", about)
        elif now.state in _NEWS and (now.state, now.last_error) != (
            before.state,
            before.last_error,
        ):
            if now.state in _GONE:
                self._gone_ns.setdefault(camera, now.since_ns)
            else:
                self._gone_ns.pop(camera, None)
            level = WARNING if now.state in _GONE else INFO
            yield Event(level, _NEWS[now.state], {**about, "reason": now.reason})

    def _note_alarms(self, now_s: float, health: Health) -> Iterator[Event]:
        standing = {(alarm.kind, alarm.where): alarm for alarm in health.alarms}
        for key in [key for key in self._alarms if key not in standing]:
            stood_s = round(now_s - self._alarms.pop(key), 3)
            yield Event(
                INFO, "alarm cleared", {"kind": key[0], "where": key[1], "after_s": stood_s}
            )
        for key, alarm in standing.items():
            if key not in self._alarms:
                self._alarms[key] = now_s
                about = {"kind": alarm.kind, "where": alarm.where, "text": alarm.text}
                yield Event(WARNING, "alarm raised", about)

    def _note_governor(self, report: RunReport) -> Iterator[Event]:
        governor = report.governor
        if governor is None or governor.level == (self._level or governor.level):
            self._level = governor.level if governor else ""
            return
        self._level = governor.level
        why = governor.transitions[-1].why if governor.transitions else ""
        yield Event(
            INFO, "governor", {"step": self._level, "interval": governor.interval, "why": why}
        )

    def _note_restarts(self, report: RunReport) -> Iterator[Event]:
        for restart in report.restarts:
            if restart.count > self._restarts.get(restart.what, 0):
                about = {"what": restart.what, "count": restart.count, "why": restart.reason}
                yield Event(WARNING, "restarted", about)
            self._restarts[restart.what] = restart.count

    def _note_failures(self, report: RunReport) -> Iterator[Event]:
        for failure in report.failures[self._failures :]:
            yield Event(ERROR, "failed", {"where": failure.where, "error": str(failure.error)})
        self._failures = len(report.failures)

    def _note_drops(self, report: RunReport) -> Iterator[Event]:
        """Once a minute, and at the end, what was dropped since; nothing where nothing was."""
        if report.wall_s - self._drops_s < _DROPS_S and not report.finished:
            return
        drops = Counter(
            {
                (camera, stage, reason): frames
                for camera, account in report.ledger.items()
                for (stage, reason), frames in account.dropped.items()
            }
        )
        new = drops - self._drops
        lines = [
            {"camera": camera, "stage": stage, "reason": reason, "frames": frames}
            for (camera, stage, reason), frames in sorted(new.items())
        ]
        if lines:
            seconds = round(report.wall_s - self._drops_s, 1)
            yield Event(INFO, "drops", {"seconds": seconds, "drops": lines})
        self._drops, self._drops_s = drops, report.wall_s
