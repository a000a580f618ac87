"""Whether a run is well, and what an operator should know: a verdict on two looks at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pipeline.escalation import Level
from pipeline.media.source import SourceState
from pipeline.report import RunReport, StageReport

#: What becomes of a camera's frames at the entrance: wanted, or because the graph cannot follow.
_NOT_ASKED_FOR = frozenset({"sampled"})
_OVERLOAD = frozenset({"queue_full", "stale"})
_UNWELL = frozenset({SourceState.STALLED, SourceState.FROZEN, SourceState.RETRYING})


class Kind(StrEnum):
    """What an alarm is about; docs/daemon.md says what to do."""

    HUNG = "hung"  # packets wait for a stage, and it takes none
    BLIND = "blind"  # no engine of a stage works: nothing is known of these frames
    SLOW = "slow"  # a stage costs more than there is, so frames are dropped
    OVERLOAD = "overload"  # less is done with each frame, so that fewer are dropped
    PAUSED = "paused"  # an output writes nothing, as its disk is full
    RESTARTED = "restarted"  # an engine, decoder or process died, or hung, and was started anew
    CAMERA = "camera"  # a camera gives nothing, or the same picture again and again
    FAILED = "failed"  # something ended for good


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on something is an alarm.

    Attributes:
        hung_s: a stage that takes nothing for so long while packets wait for it hangs, seconds.
        busy: share of its time, 0 to 1, from which on the busiest stage is to blame for what is
            dropped. Not near 1: it waits for a core as well, and the governor keeps it from more.
        lost: share of the frames asked for that must have been dropped, 0 to 1.
        paced_s: the pace of a stage is judged after so long, seconds.
    """

    hung_s: float = 10.0
    busy: float = 0.5
    lost: float = 0.01
    paced_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that an operator should know.

    Attributes:
        kind: what it is about.
        where: the camera, stage or output; for overload ``governor``, for a restart what it was.
        text: what was measured or told; may change while the alarm stands.
    """

    kind: Kind
    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """A camera or a stage.

    Attributes:
        state: of a camera its `SourceState`, of a stage ``ok`` or the kind of its alarm.
        reason: why it is not well; empty where it is.
        since_ns: of a camera, monotonic clock when it came into this state; 0 where unknown.
    """

    state: str
    reason: str = ""
    since_ns: int = 0


@dataclass(frozen=True)
class Health:
    """How a run is doing.

    Attributes:
        live: False where only a new process helps.
        ready: frames are worked on.
        reasons: why it is not live or not ready.
        cameras: by id.
        stages: by name, in graph order.
        alarms: those of stages first, then cameras.
    """

    live: bool
    ready: bool
    reasons: tuple[str, ...] = ()
    cameras: Mapping[str, Part] = field(default_factory=dict)
    stages: Mapping[str, Part] = field(default_factory=dict)
    alarms: tuple[Alarm, ...] = ()


def health(now: RunReport, before: RunReport | None, limits: Limits = Limits()) -> Health:
    """The verdict on a run.

    Args:
        now: the run as it is.
        before: the same run some seconds ago: what is told of its pace is told of the time
            between; None where there is nothing to compare with yet.
        limits: from where on something is an alarm.
    """
    alarms = [Alarm(Kind.FAILED, f.where, str(f.error)) for f in now.failures if f.fatal]
    if before is not None and now.wall_s > before.wall_s:
        alarms += [*_hung(now, before, limits), *_blind(now, before), *_slow(now, before, limits)]
        alarms += _restarted(now, before)
    alarms += [*_overload(now), *_paused(now)]
    of_stage = {alarm.where: alarm for alarm in reversed(alarms)}
    stages = {
        stage.name: Part(alarm.kind, alarm.text)
        if (alarm := of_stage.get(stage.name))
        else Part("ok")
        for stage in now.stages
    }
    cameras = {
        camera.id: Part(camera.condition.state, camera.condition.reason, camera.condition.since_ns)
        for camera in now.cameras
    }
    hung = tuple(f"{a.where}: {a.text}" for a in alarms if a.kind is Kind.HUNG)
    ended = ("the run has ended",) if now.finished else ()
    return Health(
        live=not hung,
        ready=not hung and not ended,
        reasons=hung + ended,
        cameras=cameras,
        stages=stages,
        alarms=(*alarms, *_cameras(cameras)),
    )


def _cameras(cameras: Mapping[str, Part]) -> Iterator[Alarm]:
    for name, part in cameras.items():
        ended_early = part.state == SourceState.ENDED and part.reason
        if part.state in _UNWELL or ended_early:
            yield Alarm(Kind.CAMERA, name, f"{part.state}: {part.reason}")


def _hung(now: RunReport, before: RunReport, limits: Limits) -> Iterator[Alarm]:
    """The stages before which packets wait, and none was taken in all that time.

    Before a stage that waits for one behind it packets wait as well, so the last one in the order
    of the graph is where to look; all are told.
    """
    passed_s = now.wall_s - before.wall_s
    if passed_s < limits.hung_s or len(now.edges) != len(before.edges):
        return
    for edge, was in zip(now.edges, before.edges, strict=True):
        if edge.target == was.target and edge.depth and was.depth and edge.taken == was.taken:
            yield Alarm(
                Kind.HUNG,
                edge.target,
                f"took none of the {edge.depth} packets that wait, in {passed_s:.0f} s",
            )


def _blind(now: RunReport, before: RunReport) -> Iterator[Alarm]:
    """The first stages that knew nothing: those behind them only hand that on."""
    earlier = {stage.name: stage for stage in before.stages}
    for stage in now.stages:
        was = earlier.get(stage.name)
        blind = stage.blind - (was.blind if was else 0)
        if blind > 0:
            worked = stage.processed - (was.processed if was else 0)
            why = "; ".join(f"{engine}: {text}" for engine, text in stage.reasons.items())
            text = f"knew nothing of {blind} of {worked} frames"
            yield Alarm(Kind.BLIND, stage.name, f"{text}: {why}" if why else text)
            return


def _slow(now: RunReport, before: RunReport, limits: Limits) -> Iterator[Alarm]:
    """The busiest stage, where frames had to go for want of time."""
    passed_s = now.wall_s - before.wall_s
    asked, lost = (new - old for new, old in zip(_asked(now), _asked(before), strict=True))
    earlier = {stage.name: stage for stage in before.stages}
    paces = {
        stage.name: _Pace.of(stage, now, earlier.get(stage.name), before) for stage in now.stages
    }
    busiest = max(now.stages, key=lambda stage: paces[stage.name].busy, default=None)
    if passed_s < limits.paced_s or lost <= limits.lost * asked:
        return
    if busiest is None or paces[busiest.name].busy < limits.busy:
        return
    pace = paces[busiest.name]
    yield Alarm(
        Kind.SLOW,
        busiest.name,
        f"{busiest.binding or 'plain code'}: {pace.cost_ms:.1f} ms a frame and {busiest.workers} "
        f"worker{'s' * (busiest.workers > 1)} make {pace.most_fps:.1f} frames/s, "
        f"{asked / passed_s:.1f} are asked for; {lost / passed_s:.1f} a second are dropped",
    )


def _overload(now: RunReport) -> Iterator[Alarm]:
    governor = now.governor
    if governor is not None and governor.level not in (Level.NORMAL, Level.DROPPING):
        why = governor.transitions[-1].why if governor.transitions else ""
        share = f"one of {governor.interval} frames is detected"
        yield Alarm(Kind.OVERLOAD, "governor", f"{governor.level}: {share}; {why}")


def _paused(now: RunReport) -> Iterator[Alarm]:
    for stage in now.stages:
        if stage.counts.get("paused"):
            missing = stage.counts.get("missing", 0)
            text = f"the disk is full: it writes nothing, {missing} frames are missing so far"
            yield Alarm(Kind.PAUSED, stage.name, text)


def _restarted(now: RunReport, before: RunReport) -> Iterator[Alarm]:
    earlier = {restart.what: restart.count for restart in before.restarts}
    for restart in now.restarts:
        if restart.count > earlier.get(restart.what, 0):
            text = f"started anew, {restart.count} times by now: {restart.reason}"
            yield Alarm(Kind.RESTARTED, restart.what, text)


def _asked(report: RunReport) -> tuple[int, int]:
    """Frames that were to be worked on, and those of them that had to go for want of time."""
    drops = [(why, n) for a in report.ledger.values() for (_, why), n in a.dropped.items()]
    unasked = sum(n for why, n in drops if why in _NOT_ASKED_FOR)
    return report.entered - unasked, sum(n for why, n in drops if why in _OVERLOAD)


@dataclass(frozen=True, slots=True)
class _Pace:
    """What a stage did between two looks.

    Attributes:
        busy: share of its workers' time, 0 to 1.
        cost_ms: of one worker's time for a packet.
        most_fps: packets a second that its workers can do.
    """

    busy: float
    cost_ms: float
    most_fps: float

    @staticmethod
    def of(stage: StageReport, now: RunReport, was: StageReport | None, before: RunReport) -> _Pace:
        busy_s = stage.busy * now.wall_s * stage.workers
        done = stage.processed
        if was is not None:
            busy_s -= was.busy * before.wall_s * was.workers
            done -= was.processed
        cost_s = max(busy_s, 0.0) / max(done, 1)
        return _Pace(
            max(busy_s, 0.0) / ((now.wall_s - before.wall_s) * max(stage.workers, 1)),
            cost_s * 1e3,
            stage.workers / cost_s if cost_s else 0.0,
        )
