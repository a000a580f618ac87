"""What is logged: a line for each difference between two looks at a run."""

from __future__ import annotations

from typing import Any

from engines.isolation.restarts import Restart
from pipeline.daemon.journal import Journal
from pipeline.errors import SourceError
from pipeline.escalation import Level, Transition
from pipeline.governor import GovernorReport
from pipeline.health import Alarm, Health, Kind
from pipeline.ledger import Account
from pipeline.media.source import Condition, SourceState
from pipeline.report import CameraReport, RunReport
from pipeline.worker import Failure

WELL = Health(live=True, ready=True)
S = 1_000_000_000


def run(wall_s: float = 0.0, condition: Condition | None = None, **keys: Any) -> RunReport:
    cameras = (CameraReport("gate", "", "", "", 0.0, {}, "", condition),) if condition else ()
    nothing = {"ledger": {}, "stages": (), "edges": (), "boundaries": (), "failures": ()}
    return RunReport(
        **{"finished": False, "aborted": False, "wall_s": wall_s, "cpu_s": 0.0, "cores": 2}
        | {"cameras": cameras}
        | nothing
        | keys
    )


def told(journal: Journal, report: RunReport, health: Health = WELL) -> list[Any]:
    return [(event.text, dict(event.about)) for event in journal.note(report, health)]


def test_a_camera_that_goes_and_comes_back_is_told_with_how_long_it_was_away() -> None:
    journal = Journal()
    states = [
        (Condition(SourceState.CONNECTING, "connecting"), []),
        (Condition(SourceState.LIVE, "", 1 * S, 1), ["camera connected"]),
        (Condition(SourceState.LIVE, "", 1 * S, 1), []),
        (Condition(SourceState.STALLED, "no picture", 5 * S, 1), ["camera stalled"]),
        (Condition(SourceState.STALLED, "no picture still", 5 * S, 1), []),
        (Condition(SourceState.RETRYING, "gone", 7 * S, 1, "gone"), ["camera retrying"]),
        (Condition(SourceState.RETRYING, "refused", 7 * S, 1, "refused"), ["camera retrying"]),
        (Condition(SourceState.LIVE, "", 9 * S, 2, "refused"), ["camera back"]),
        (Condition(SourceState.LIVE, "", 11 * S, 3, "short"), ["camera back"]),
        (Condition(SourceState.FROZEN, "the same", 20 * S, 3), ["camera frozen"]),
        (Condition(SourceState.LIVE, "", 21 * S, 3), ["camera back"]),
        (Condition(SourceState.PAUSED, "paused", 22 * S, 3), ["camera paused"]),
        (Condition(SourceState.ENDED, "", 23 * S, 3), ["camera ended"]),
    ]
    lines = [(told(journal, run(condition=now)), wanted) for now, wanted in states]
    assert [[text for text, _ in line] for line, _ in lines] == [wanted for _, wanted in lines]
    assert lines[7][0][0][1] == {
        "camera": "gate", "sessions": 2, "after_s": 4.0, "last_error": "refused",
    }  # fmt: skip
    assert lines[10][0][0][1]["after_s"] == 1.0
    assert told(journal, run()) == [("camera removed", {"camera": "gate"})]


def test_an_alarm_is_told_when_it_is_raised_and_when_it_is_cleared() -> None:
    journal = Journal()
    blind = Alarm(Kind.BLIND, "detect", "knew nothing of 3 of 4 frames")
    more = Alarm(Kind.BLIND, "detect", "knew nothing of 9 of 9 frames")
    raised = {"kind": Kind.BLIND, "where": "detect", "text": blind.text}
    assert told(journal, run(10), Health(True, True, alarms=(blind,))) == [("alarm raised", raised)]
    assert told(journal, run(11), Health(True, True, alarms=(more,))) == []
    cleared = {"kind": Kind.BLIND, "where": "detect", "after_s": 4.5}
    assert told(journal, run(14.5)) == [("alarm cleared", cleared)]


def test_each_step_of_the_governor_is_told() -> None:
    journal = Journal()

    def step(level: Level, why: str = "") -> list[Any]:
        changes = (Transition(1.0, level, 2, why),)
        governor = GovernorReport(level, 2, {}, changes, 0, 4, 20.0)
        return told(journal, run(governor=governor))

    assert step(Level.NORMAL) == []
    about = {"step": Level.DROPPING, "interval": 2, "why": "9 of 10 frames were dropped"}
    assert step(Level.DROPPING, about["why"]) == [("governor", about)]
    assert step(Level.DROPPING, about["why"]) == []
    assert [text for text, _ in step(Level.NORMAL)] == ["governor"]


def test_restarts_and_failures_are_told_once() -> None:
    journal = Journal()
    restart = Restart("engine cpu0 of detect", 1, "it died")
    failure = Failure("gate", SourceError("no such file"), fatal=False)
    report = run(restarts=(restart,), failures=(failure,))
    assert told(journal, report) == [
        ("restarted", {"what": "engine cpu0 of detect", "count": 1, "why": "it died"}),
        ("failed", {"where": "gate", "error": "no such file"}),
    ]
    assert told(journal, report) == []
    again = run(restarts=(restart.again("it hung"),), failures=(failure,))
    assert [about["count"] for _, about in told(journal, again)] == [2]


def test_drops_are_summed_up_every_minute_and_at_the_end() -> None:
    journal = Journal()

    def dropped(wall_s: float, frames: int, finished: bool = False) -> list[Any]:
        drops = {("decode", "queue_full"): frames, ("decode", "sampled"): 5}
        ledger = {"gate": Account(1000, 1000 - frames - 5, drops, {})}
        return told(journal, run(wall_s, ledger=ledger, finished=finished))

    def line(reason: str, frames: int) -> dict[str, Any]:
        return {"camera": "gate", "stage": "decode", "reason": reason, "frames": frames}

    assert dropped(59, 7) == []
    first = {"seconds": 60, "drops": [line("queue_full", 8), line("sampled", 5)]}
    assert dropped(60, 8) == [("drops", first)]
    assert dropped(119, 8) == []
    assert dropped(120, 8) == []
    end = {"seconds": 5, "drops": [line("queue_full", 2)]}
    assert dropped(125, 10, finished=True) == [("drops", end)]
