from __future__ import annotations

from dataclasses import replace

import pytest

import pipeline
from engines.isolation.restarts import Restart
from pipeline.ledger import Account
from pipeline.report import RunReport
from pipeline.sharding.merging import merged, settled
from pipeline.supervisor import Supervisor


def report(camera: str, entered: int, emitted: int, p95_ms: float) -> RunReport:
    """Of a run with one stage, as if so many frames had gone through it."""
    text = f"""
    cameras: [{{id: {camera}, uri: "rendered:day"}}]
    stages: {{detect: {{model: street-pico}}, track: {{}}}}
    """
    graph = pipeline.build(pipeline.loads(text, overrides=["outputs=[{udp: {to: '[::1]:9'}}]"]))
    empty = Supervisor(graph).report()
    account = Account(entered, emitted, {("decode", "sampled"): 1}, {})
    stages = tuple(
        replace(stage, processed=emitted, emitted=emitted, p95_ms=p95_ms, p50_ms=p95_ms / 2)
        for stage in empty.stages
    )
    return replace(empty, ledger={camera: account}, stages=stages, cpu_s=1.5)


def test_counts_add_up() -> None:
    whole = merged([report("a", 11, 10, 4.0), report("b", 31, 30, 8.0)], wall_s=2.0)
    assert (whole.entered, whole.emitted, whole.dropped) == (42, 40, 2)
    assert whole.balanced
    assert [camera.id for camera in whole.cameras] == ["a", "b"]
    assert [camera.fps for camera in whole.cameras] == [5.0, 15.0]
    assert whole.cpu_s == 3.0
    detect = next(stage for stage in whole.stages if stage.name == "detect")
    assert detect.processed == 40
    assert (detect.p50_ms, detect.p95_ms) == (pytest.approx(3.5), 8.0)
    parts = [report("a", 11, 10, 4.0), report("b", 31, 30, 8.0)]
    workers = [stage.workers for part in parts for stage in part.stages if stage.name == "detect"]
    assert detect.workers == sum(workers)


def test_what_was_in_a_dead_process_is_lost_and_counted() -> None:
    dead = replace(report("a", 20, 15, 1.0), restarts=(Restart("engine x of y", 2, "why", 1),))
    assert not dead.balanced
    rest = settled(dead)
    assert rest.balanced
    assert rest.ledger["a"].dropped == {("decode", "sampled"): 1, ("shard", "killed"): 4}
    whole = merged([rest, report("a", 11, 10, 1.0)], wall_s=1.0)
    assert whole.balanced
    assert whole.ledger["a"].entered == 31
    assert whole.restarts == dead.restarts
    assert len(whole.cameras) == 1
    detect = next(stage for stage in whole.stages if stage.name == "detect")
    alone = next(stage for stage in dead.stages if stage.name == "detect")
    assert detect.workers == alone.workers  # those of the living
