"""What may be known of a daemon from outside: its report, its health, its configuration."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Any

from pipeline.deployment import Deployment
from pipeline.energy import Meter
from pipeline.health import Health, Limits, health
from pipeline.media.source import SourceState
from pipeline.report import RunReport

#: Looks kept at most: two a second, for as long as a comparison may reach back.
_MOST_LOOKS = 256


class Insight:
    """Looks at a run again and again, and remembers what it was like some seconds ago.

    `look` belongs to the thread that watches the run; everything else may be used from any.

    Args:
        deployment: what runs.
        limits: from where on something is an alarm.

    Attributes:
        energy: what the machine used, and how hot it was, at the last look.
    """

    def __init__(self, deployment: Deployment, limits: Limits) -> None:
        self.deployment = deployment
        self._health = Health(live=True, ready=False, reasons=("starting: nothing is open yet",))
        self._looked_s = math.inf
        self._limits = limits
        self._looks: deque[RunReport] = deque(maxlen=_MOST_LOOKS)
        self._stopping = ""
        self._meter = Meter()
        self.energy = self._meter.read()

    @property
    def health(self) -> Health:
        """At the last look; where that is too long ago, whoever looks hangs."""
        found, silent_s = self._health, time.monotonic() - self._looked_s
        if silent_s <= self._limits.hung_s:
            return found
        why = f"nobody has looked at the run for {silent_s:.0f} s"
        return replace(found, live=False, ready=False, reasons=(*found.reasons, why))

    def look(self, report: RunReport) -> Health:
        """The verdict on the run as it is now, compared with some seconds ago."""
        looks = self._looks
        looks.append(report)
        while len(looks) > 2 and report.wall_s - looks[1].wall_s >= self._limits.hung_s:
            looks.popleft()
        found = health(report, looks[0] if len(looks) > 1 else None, self._limits)
        if self._stopping:
            found = replace(found, ready=False, reasons=(*found.reasons, self._stopping))
        self._health, self._looked_s = found, time.monotonic()
        self.energy = self._meter.read()
        return found

    def stopping(self, why: str) -> None:
        """From now on the run is not ready, whatever it still works on."""
        self._stopping = f"stopping: {why}"
        self._health = replace(self._health, ready=False, reasons=(self._stopping,))

    def report(self) -> RunReport:
        """The run as it is now."""
        return self.deployment.report()

    def line(self) -> str:
        """The run of the last seconds in one line, for the service manager."""
        now, before = self._looks[-1], self._looks[0]
        passed_s = now.wall_s - before.wall_s
        fps = (now.emitted - before.emitted) / passed_s if passed_s else 0.0
        live = sum(part.state == SourceState.LIVE for part in self.health.cameras.values())
        level = f", {now.governor.level}" if now.governor else ""
        alarms = f", {len(self.health.alarms)} alarms" if self.health.alarms else ""
        return f"{live} of {len(now.cameras)} cameras live, {fps:.1f} frames/s{level}{alarms}"

    def status(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        report = replace(self.report(), energy=self.energy)
        frames = max(report.emitted, 1)
        return {
            "version": version(),
            "health": health_json(self.health),
            "report": report.to_json(),
            "energy": asdict(self.energy),
            "per_frame": {
                "cpu_s": report.cpu_s / frames,
                "machine_joules": report.joules_per_frame,
            },
        }


def health_json(told: Health) -> dict[str, Any]:
    """A verdict as JSON values; times as seconds until now."""
    now_ns = time.monotonic_ns()
    status = "ok" if told.ready and not told.alarms else "degraded" if told.ready else "not ready"
    return {
        "status": status if told.live else "dead",
        "live": told.live,
        "ready": told.ready,
        "reasons": list(told.reasons),
        "cameras": {
            name: {
                "state": part.state,
                "reason": part.reason,
                "for_s": (now_ns - part.since_ns) / 1e9 if part.since_ns else None,
            }
            for name, part in told.cameras.items()
        },
        "stages": {
            name: {"state": part.state, "reason": part.reason} for name, part in told.stages.items()
        },
        "alarms": [asdict(alarm) for alarm in told.alarms],
    }


def version() -> str:
    """Of this program."""
    try:
        return version_of("sightline")
    except PackageNotFoundError:
        return "from its source folder"
