"""Deployments of real processes, on recordings; what all deployments do is in test_deployment."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import pipeline
from pipeline.config import PipelineConfig
from pipeline.errors import ConfigError, SightlineError
from pipeline.report import RunReport
from pipeline.sharding import shard
from pipeline.sharding.deployment import ShardedDeployment, deploy
from pipeline.worker import Background
from tests.engines.processes import alive, descriptors

CONFIG = """
cameras:
  - {{id: a, uri: "rendered:day?seed=1&size=96x64&seconds=4"}}
  - {{id: b, uri: "rendered:dusk?seed=2&size=96x64&seconds=3"}}
  - {{id: c, uri: "rendered:day?seed=3&size=96x64&seconds=2"}}
stages:
  detect: {{model: {model}}}
  track: {{min_hits: 1, new_score: 0.2, high_score: 0.2}}
outputs: [{{file: {{path: "{folder}/{{camera}}.jsonl"}}}}]
run: {{shards: 2, drain_s: 2}}
"""


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() <= before


@pytest.fixture
def config(light_meter: Path, tmp_path: Path) -> Callable[..., PipelineConfig]:
    def make(*overrides: str, folder: str = "out") -> PipelineConfig:
        text = CONFIG.format(model=light_meter, folder=tmp_path / folder)
        return pipeline.loads(text, overrides=overrides)

    return make


def run(config: PipelineConfig) -> RunReport:
    deployment = deploy(config)
    deployment.start()
    return deployment.wait()


def account(report: RunReport) -> dict[str, tuple[int, int]]:
    return {camera: (a.entered, a.emitted) for camera, a in report.ledger.items()}


def realtime(*more: str) -> list[str]:
    """Cameras that play for ever at their own speed, and nothing written."""
    paced = [f"cameras[{i}].{key}" for i in range(3) for key in ("pace=realtime", "loop=true")]
    return [*paced, "outputs=[{udp: {to: '127.0.0.1:9'}}]", *more]


class Street:
    """A sharded deployment at work, which the test's thread watches."""

    def __init__(self, config: PipelineConfig) -> None:
        self.deployment = ShardedDeployment(config)
        self.report: RunReport | None = None
        self._changed = threading.Event()
        self._thread = Background("wait", self._wait)

    def __enter__(self) -> Street:
        self.deployment.start()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.deployment.stop()
        self._thread.stop()

    def until(self, condition: Callable[[RunReport], object]) -> RunReport:
        while True:
            report = self.deployment.report()
            if condition(report):
                return report
            self._changed.wait(0.02)

    def emits(self, *cameras: str) -> None:
        """Waits until each of these has put out more frames than now."""
        before = self.deployment.report().ledger

        def more(report: RunReport) -> bool:
            now = report.ledger
            return all(
                camera in now
                and now[camera].emitted > (before[camera].emitted if camera in before else 0)
                for camera in cameras
            )

        self.until(more)

    def pids(self) -> list[int]:
        return [place.shard.pid for place in self.deployment._places if place.shard]

    def _wait(self, stop: threading.Event) -> None:
        self.report = self.deployment.wait()


def test_results_do_not_depend_on_it(config, tmp_path) -> None:
    sharded = run(config())
    alone = run(config("run.shards=1", folder="alone"))
    assert sharded.exit_code == alone.exit_code == 0
    assert sharded.finished
    assert sharded.balanced
    assert account(sharded) == account(alone) == {"a": (100, 100), "b": (75, 75), "c": (50, 50)}
    assert [camera.id for camera in sharded.cameras] == ["a", "b", "c"]
    assert [stage.name for stage in sharded.stages] == [stage.name for stage in alone.stages]
    for camera in "abc":
        ours = (tmp_path / "out" / f"{camera}.jsonl").read_bytes()
        assert ours == (tmp_path / "alone" / f"{camera}.jsonl").read_bytes()
        assert ours


def test_a_process_one_of_whose_stages_hangs_is_replaced(config, monkeypatch) -> None:
    monkeypatch.setattr(shard, "HUNG_S", 1.0)
    engines = "engines={cpu0: {backend: onnxruntime, isolate: true}}"  # no limit to its time
    with Street(config(*realtime(engines))) as street:
        street.emits("a", "b", "c")
        first, second = street.pids()
        (engine, *_) = psutil.Process(first).children()
        engine.suspend()
        report = street.until(lambda report: report.restarts)
        street.emits("a", "b", "c")
        assert street.pids()[1] == second
    assert not alive(first)
    (restart,) = report.restarts
    assert (restart.what, restart.count) == ("shard 0", 1)
    assert "as a stage hung: " in restart.reason
    assert street.report is not None
    assert street.report.balanced
    assert street.report.exit_code == 0
    assert street.report.ledger["b"].dropped == {}


def test_recordings_that_kill_every_process_end(config) -> None:
    with Street(config(*realtime())) as street:
        place = street.deployment._places[0]
        place.budget = type(place.budget)(1, 60.0, 1000.0)
        for count in (1, 2):
            street.emits("a", "b", "c")
            os.kill(street.pids()[0], signal.SIGKILL)
            report = street.until(lambda report, count=count: _count(report) == count)
        street.emits("b")
    assert [failure.where for failure in street.report.failures] == ["a", "c"]
    assert "used up 1 restarts in 60 s" in report.restarts[0].reason
    assert street.report.exit_code == 3
    assert street.report.balanced


def _count(report: RunReport) -> int:
    return sum(restart.count for restart in report.restarts)


def test_cameras_come_and_go_and_the_others_stay_where_they_are(config) -> None:
    new = "{id: d, uri: 'rendered:day?seed=4&size=96x64', pace: realtime}"
    with Street(config(*realtime())) as street:
        street.emits("a", "b", "c")
        pids = street.pids()
        wanted = config(*realtime())
        document = [c for c in wanted.cameras if c.id != "c"]
        added = config(*realtime(f"cameras[2]={new}")).cameras[2]
        street.deployment.apply(wanted.model_copy(update={"cameras": (*document, added)}))
        street.emits("a", "b", "d")
        assert street.pids() == pids
        assert street.deployment._placed == {"a": 0, "b": 1, "d": 0}
        only_b = tuple(c for c in wanted.cameras if c.id == "b")
        street.deployment.apply(wanted.model_copy(update={"cameras": only_b}))
        street.until(lambda report: len(street.pids()) == 1)
        assert street.pids() == pids[1:]
        street.deployment.apply(wanted)
        street.emits("a", "b", "c")
        assert len(street.pids()) == 2
    assert street.report.balanced
    assert street.report.failures == ()
    assert street.report.ledger["b"].dropped == {}


def test_a_change_that_fails_in_one_process_happens_in_none(config) -> None:
    with Street(config(*realtime())) as street:
        street.emits("a", "b", "c")
        before = street.deployment.config
        cameras = list(before.cameras)
        cameras[1] = cameras[1].model_copy(update={"uri": "no/such/video.mp4"})
        cameras[0] = cameras[0].model_copy(update={"max_fps": 5.0})
        wrong = before.model_copy(update={"cameras": tuple(cameras)})
        with pytest.raises(SightlineError, match=r"no/such/video\.mp4"):
            street.deployment.apply(wrong)
        assert street.deployment.config is before
        street.emits("a", "b", "c")
        places = street.deployment._places
        assert [c for place in places for c in place.config.cameras if c.max_fps] == []
        more = before.model_copy(update={"run": before.run.model_copy(update={"shards": 3})})
        with pytest.raises(ConfigError, match="settled at the start"):
            street.deployment.apply(more)


@pytest.mark.parametrize("uri", ["rendered:day", "rtsp://127.0.0.1:9/none"])
def test_what_fails_at_the_start_ends_it(config, uri) -> None:
    text = "engines={cpu0: {backend: onnxruntime, device: 'cuda:77'}}"
    report = run(config(text, f"cameras[0].uri={uri}"))
    assert report.exit_code == 1
    assert report.entered == 0
    assert "cuda" in str(report.failures[0].error)


def test_where_no_process_can_be_started(config, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/python")
    report = run(config())
    assert report.exit_code == 1
    told = [f"{failure.where}: {failure.error}" for failure in report.failures]
    assert [text[:40] for text in told] == [
        "shard 0: no process can be started: [Err",
        "shard 1: no process can be started: [Err",
    ]


def test_a_file_for_several_cameras_is_refused(config, tmp_path) -> None:
    told = r"outputs\[0\].file.path: .* several processes .*\{camera\}"
    with pytest.raises(ConfigError, match=told):
        config(f"outputs=[{{file: {{path: '{tmp_path}/all.jsonl'}}}}]")
    config(f"outputs=[{{file: {{path: '{tmp_path}/all.jsonl'}}}}]", "run.shards=1")
    with pytest.raises(ConfigError, match=r"outputs\[0\].events.pictures: .* several processes"):
        config("outputs=[{events: {path: '{camera}.csv', pictures: all}}]")


def test_aborting_ends_it_soon(config) -> None:
    street = Street(config(*realtime()))
    with street:
        street.emits("a")
        street.deployment.abort()
    assert street.report.aborted
    assert street.report.exit_code == 130
    assert street.report.balanced
