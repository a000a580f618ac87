"""The verdict on a run, as a table of what was seen at two looks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engines.isolation.restarts import Restart
from pipeline.errors import StageError
from pipeline.escalation import Level, Transition
from pipeline.governor import GovernorReport
from pipeline.health import Alarm, Health, Kind, Limits, health
from pipeline.ledger import Account
from pipeline.media.source import Condition, SourceState
from pipeline.metrics import QueueMetrics, StageMetrics
from pipeline.report import CameraReport, EdgeReport, RunReport, StageReport
from pipeline.worker import Failure

LIMITS = Limits(hung_s=10)
DETECT = "m on cpu0 (onnxruntime/cpu/fp32)"


def stage(name: str, busy_s: float = 0.0, packets: int = 0, blind: int = 0, **keys: Any) -> Any:
    """A stage's counts, to be completed with the time of the run."""
    metrics = StageMetrics(processed=packets, emitted=packets, blind=blind)
    metrics.busy_ns = round(busy_s * 1e9)
    workers, binding = keys.pop("workers", 1), keys.pop("binding", "")
    return lambda wall_s: StageReport.of(name, workers, binding, metrics, {}, wall_s, **keys)


def edge(target: str, depth: int = 0, taken: int = 0) -> EdgeReport:
    return EdgeReport.of(target, QueueMetrics(4, depth=depth, got=taken))


def camera(name: str, state: SourceState, reason: str = "") -> CameraReport:
    return CameraReport(name, "", "", "", 0.0, {}, "", Condition(state, reason))


def run(wall_s: float, *stages: Any, **keys: Any) -> RunReport:
    """A run so far, in which all that is not said is well."""
    nothing: dict[str, Any] = {"cameras": (), "ledger": {}, "edges": ()}
    return RunReport(
        **{"finished": False, "aborted": False, "wall_s": wall_s, "cpu_s": 0.0, "cores": 2}
        | {"stages": tuple(make(wall_s) for make in stages), "boundaries": (), "failures": ()}
        | nothing
        | keys
    )


def ledger(entered: int, **dropped: int) -> dict[str, Account]:
    drops = {("decode", reason): count for reason, count in dropped.items()}
    return {"gate": Account(entered, entered - sum(dropped.values()), drops, {})}


def kinds(found: Health) -> list[tuple[Kind, str]]:
    return [(alarm.kind, alarm.where) for alarm in found.alarms]


@pytest.mark.parametrize(
    ("before", "now", "passed_s", "hung"),
    [
        (edge("detect", 0, 5), edge("detect", 0, 5), 10, False),  # idle: nothing to do
        (edge("detect", 2, 5), edge("detect", 4, 6), 10, False),  # slow, but it goes on
        (edge("detect", 2, 5), edge("detect", 4, 5), 9.9, False),  # not long enough
        (edge("detect", 0, 5), edge("detect", 1, 5), 10, False),  # only now there is something
        (edge("detect", 2, 5), edge("detect", 4, 5), 10, True),
        (edge("embed", 2, 5), edge("detect", 4, 5), 10, False),  # another graph by now
    ],
)
def test_a_stage_hangs_if_it_takes_nothing_of_what_waits(
    before: EdgeReport, now: EdgeReport, passed_s: float, hung: bool
) -> None:
    was = run(100, stage("detect"), edges=(before,))
    found = health(run(100 + passed_s, stage("detect"), edges=(now,)), was, LIMITS)
    assert found.live is found.ready is (not hung)
    assert kinds(found) == [(Kind.HUNG, "detect")] * hung
    assert found.stages["detect"].state == ("hung" if hung else "ok")
    assert ("detect" in "".join(found.reasons)) is hung


def test_one_of_two_inboxes_is_enough_to_hang() -> None:
    was = run(0, stage("track"), edges=(edge("track", 1, 5), edge("track", 1, 7)))
    now = run(10, stage("track"), edges=(edge("track", 1, 9), edge("track", 1, 7)))
    assert not health(now, was, LIMITS).live


def test_blindness_is_told_of_the_stage_where_it_begins_with_the_engines_reason() -> None:
    why = {"npu0": "lost"}
    was = run(10, stage("detect", packets=100, blind=3), stage("track", packets=100, blind=3))
    detect = stage("detect", packets=150, blind=43, reasons=why)
    now = run(20, detect, stage("track", packets=150, blind=43))
    alarm = Alarm(Kind.BLIND, "detect", "knew nothing of 40 of 50 frames: npu0: lost")
    assert health(now, was, LIMITS).alarms == (alarm,)
    assert health(now, now, LIMITS).alarms == ()
    # Frames that were seen again: what was, is over.
    later = run(30, stage("detect", packets=200, blind=43), stage("track", packets=200, blind=43))
    assert health(later, now, LIMITS).alarms == ()


@pytest.mark.parametrize(
    ("busy_s", "lost", "told"),
    [
        (9.6, {"queue_full": 480}, True),
        (9.6, {"stale": 480}, True),
        (9.6, {}, False),  # busy, as a file makes every stage
        (9.6, {"sampled": 480}, False),  # nobody wanted these
        (9.6, {"queue_full": 5}, False),  # a hiccup
        (4.0, {"queue_full": 480}, False),  # it is not the stage that is short of time
    ],
)
def test_a_stage_is_slow_if_frames_go_because_of_it(
    busy_s: float, lost: dict[str, int], told: bool
) -> None:
    was = run(100, stage("detect", 50.0, 1000, workers=2, binding=DETECT), ledger=ledger(1000))
    now = run(
        110,
        stage("detect", 50.0 + 2 * busy_s, 1120, workers=2, binding=DETECT),
        stage("track", 1.0, 1120),
        ledger=ledger(1600, **lost),
    )
    found = health(now, was, LIMITS)
    assert kinds(found) == [(Kind.SLOW, "detect")] * told
    if told:
        assert found.alarms[0].text == (
            f"{DETECT}: 160.0 ms a frame and 2 workers make 12.5 frames/s, 60.0 are asked for; "
            "48.0 a second are dropped"
        )
        assert found.live
        assert found.ready


@pytest.mark.parametrize(
    ("state", "reason", "alarmed"),
    [
        (SourceState.CONNECTING, "connecting", False),
        (SourceState.LIVE, "", False),
        (SourceState.STALLED, "no picture for 2 s", True),
        (SourceState.FROZEN, "the same picture for 10 s", True),
        (SourceState.RETRYING, "refused", True),
        (SourceState.PAUSED, "paused", False),
        (SourceState.ENDED, "", False),
        (SourceState.ENDED, "there is no such file", True),
    ],
)
def test_a_camera_never_makes_the_process_unwell(
    state: SourceState, reason: str, alarmed: bool
) -> None:
    found = health(run(5, cameras=(camera("gate", state, reason),)), None, LIMITS)
    assert found.live
    assert found.ready
    assert found.cameras["gate"].state == state
    assert found.cameras["gate"].reason == reason
    assert kinds(found) == [(Kind.CAMERA, "gate")] * alarmed


@pytest.mark.parametrize("level", list(Level))
def test_doing_less_with_each_frame_is_told(level: Level) -> None:
    changes = (Transition(1.0, level, 3, "60 of 100 frames dropped"),)
    governor = GovernorReport(level, 3, {}, changes, 0, 4, 20.0)
    found = health(run(5, governor=governor), None, LIMITS)
    less = level in (Level.COASTING, Level.NO_REID)
    assert kinds(found) == [(Kind.OVERLOAD, "governor")] * less


def test_a_restart_is_told_for_a_while() -> None:
    first = Restart("decoder of gate", 1, "it died")
    again = first.again("it hung")
    was, now = run(10, restarts=(first,)), run(20, restarts=(again,))
    text = "started anew, 2 times by now: it hung"
    assert health(now, was, LIMITS).alarms == (Alarm(Kind.RESTARTED, "decoder of gate", text),)
    assert health(run(30, restarts=(again,)), now, LIMITS).alarms == ()


def test_what_ended_for_good_is_told_until_the_end() -> None:
    failure = Failure("detect", StageError("no engine can"), fatal=True)
    now = run(5, stage("detect"), failures=(failure,))
    found = health(replace(now, finished=True), None, LIMITS)
    assert found.alarms == (Alarm(Kind.FAILED, "detect", "no engine can"),)
    assert not found.ready
    assert found.reasons == ("the run has ended",)


def test_a_camera_that_failed_is_no_failure_of_the_run() -> None:
    failure = Failure("gate", StageError("gone"), fatal=False)
    assert health(run(5, failures=(failure,)), None, LIMITS).alarms == ()


@pytest.mark.parametrize("paused", [0, 1])
def test_an_output_on_a_full_disk_is_told(paused: int) -> None:
    counts = {"missing": 31, "paused": paused}
    found = health(run(10, stage("file", counts=counts), stage("udp", counts={"sent": 5})), None)
    assert kinds(found) == [(Kind.PAUSED, "file")] * paused
    assert found.ready
    assert "31 frames are missing" in "".join(alarm.text for alarm in found.alarms) or not paused
