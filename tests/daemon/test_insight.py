"""What is remembered of a run, and told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import loads
from pipeline.daemon import insight
from pipeline.daemon.insight import Insight, health_json
from pipeline.health import Kind, Limits
from pipeline.sharding.deployment import deploy
from tests.test_health import edge, run, stage


@pytest.fixture
def looking(spotter: Path) -> Insight:
    config = loads(
        "cameras: [{id: gate, uri: rendered:day}]\n"
        f"stages: {{detect: {{model: {spotter}}}}}\noutputs: [{{udp: {{to: '127.0.0.1:9'}}}}]"
    )
    return Insight(deploy(config), Limits(hung_s=10))


def test_the_run_is_compared_with_what_it_was_long_enough_ago(looking: Insight) -> None:
    verdicts = []
    for tenth in range(400):
        depth = 2 if tenth >= 200 else 0  # from 20 s on packets wait, and none is taken
        report = run(tenth / 10, stage("detect"), edges=(edge("detect", depth, min(tenth, 200)),))
        verdicts.append(looking.look(report).live)
    assert verdicts.index(False) == 300
    assert not any(verdicts[300:])
    assert [alarm.kind for alarm in looking.health.alarms] == [Kind.HUNG]
    assert health_json(looking.health)["status"] == "dead"


def test_a_run_that_nobody_looks_at_is_not_called_well(
    looking: Insight, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1000.0
    monkeypatch.setattr(insight.time, "monotonic", lambda: now_s)
    assert looking.health.live  # it is still being opened, however long that takes
    assert not looking.health.ready
    looking.look(run(1.0))
    assert looking.health.ready
    now_s += 10.5
    assert not looking.health.live
    assert "nobody has looked at the run for 10 s" in looking.health.reasons


def test_what_stops_is_not_ready_whatever_it_still_does(looking: Insight) -> None:
    looking.look(run(1.0))
    looking.stopping("SIGTERM")
    assert (looking.health.live, looking.health.ready) == (True, False)
    assert not looking.look(run(2.0)).ready
    assert looking.health.reasons == ("stopping: SIGTERM",)
    assert looking.line() == "0 of 0 cameras live, 0.0 frames/s"
