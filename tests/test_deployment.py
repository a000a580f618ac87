"""What every deployment promises, in one process or in several: changes lose nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

import pipeline
from pipeline.config import PipelineConfig
from pipeline.deployment import Deployment, LocalDeployment
from pipeline.errors import SightlineError
from pipeline.media.source import SourceState
from pipeline.report import RunReport
from pipeline.sharding.deployment import deploy
from pipeline.worker import Background
from tests.promises.harness import eventually

PACED = "rendered:day?size=96x64&fps=50"


@pytest.fixture(params=[1, 2], ids=["local", "sharded"])
def shards(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


Make = Callable[..., PipelineConfig]


@pytest.fixture
def config(light_meter: Path, tmp_path: Path) -> Make:
    """Makes a configuration of these cameras, with results in a file a camera."""

    def make(*cameras: str, score: float = 0.1, **sections: Any) -> PipelineConfig:
        listed = [
            {"id": name, "uri": PACED, "pace": "realtime"} if isinstance(name, str) else name
            for name in cameras
        ]
        document = {
            "cameras": listed,
            "stages": {
                "detect": {"model": str(light_meter), "workers": 1},
                "postprocess": {"score": score},
                "track": {"min_hits": 1, "high_score": 0.2, "new_score": 0.2},
            },
            "outputs": [{"file": {"path": str(tmp_path / "{camera}.jsonl")}}],
            "http": {"bind": "127.0.0.1:1"},
        }
        return pipeline.loads(yaml.safe_dump(document | sections))

    return make


class Under:
    """A deployment at work, its waiting done in a thread."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.final: RunReport | None = None
        self._waiter = Background("waiter", lambda stop: self._wait())

    def _wait(self) -> None:
        self.final = self.deployment.wait()

    def start(self) -> None:
        assert self.deployment.start()
        self._waiter.start()

    def end(self) -> RunReport:
        self.deployment.stop()
        assert self._waiter.stop(30)
        assert self.final is not None
        return self.final

    def emitted(self, camera: str) -> int:
        account = self.deployment.report().ledger.get(camera)
        return account.emitted if account else 0

    def more(self, camera: str, frames: int = 20) -> None:
        """Waits for so many frames more of a camera."""
        wanted = self.emitted(camera) + frames
        eventually(lambda: self.emitted(camera) >= wanted, 20, f"{wanted} frames of {camera}")


@contextmanager
def at_work(config: PipelineConfig) -> Iterator[Under]:
    under = Under(deploy(config))
    under.start()
    try:
        yield under
    finally:
        report = under.end()
    assert report.balanced
    assert report.exit_code == 0, report.failures


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def whole(path: Path) -> list[dict[str, Any]]:
    """A camera's lines, after seeing that there is one for every frame, and one identity."""
    found = lines(path)
    assert [line["frame"] for line in found] == list(range(len(found)))
    assert {track["id"] for line in found for track in line["tracks"]} == {1}
    return found


def test_cameras_come_go_and_pause_beside_one_that_stays(
    config: Make, shards: int, tmp_path: Path
) -> None:
    run = {"run": {"shards": shards}}
    with at_work(config("a", "b", **run)) as under:
        under.more("a")
        under.deployment.apply(config("a", "c", **run))
        under.more("c")
        eventually((tmp_path / "b.jsonl").exists, 10, "the finished file of a camera that went")
        assert whole(tmp_path / "b.jsonl")
        paused = {"id": "c", "uri": PACED, "pace": "realtime", "paused": True}
        under.deployment.apply(config("a", paused, **run))

        def states() -> list[SourceState]:
            return [line.condition.state for line in under.deployment.report().cameras]

        eventually(lambda: states()[1] is SourceState.PAUSED)
        under.deployment.apply(config("a", "c", **run))
        under.more("c")
        under.more("a")
    assert whole(tmp_path / "a.jsonl")
    after = [line["epoch"] for line in lines(tmp_path / "c.jsonl")]
    assert after == sorted(after)
    assert after[-1] >= 1, "a pause begins an epoch"


def test_a_stage_changes_and_tracks_keep_their_identities(
    config: Make, shards: int, tmp_path: Path
) -> None:
    run = {"run": {"shards": shards}}
    with at_work(config("a", "b", **run)) as under:
        under.more("a")
        before = under.deployment.report()
        for turn in range(5):
            under.deployment.apply(config("a", "b", score=0.1 + turn / 100, **run))
        after = under.deployment.report()
        under.more("b")
    for then, now in zip(before.stages, after.stages, strict=True):
        assert now.processed >= then.processed, then.name
    assert whole(tmp_path / "a.jsonl")
    assert whole(tmp_path / "b.jsonl")


def test_what_cannot_be_changes_nothing(config: Make, shards: int, tmp_path: Path) -> None:
    run = {"run": {"shards": shards}}
    first = config("a", "b", **run)
    wrong = {
        "no model .nothing": config("a", stages={"detect": {"model": "nothing-like-it"}}, **run),
        "no such file": config("a", {"id": "c", "uri": "missing.mp4"}, **run),
        "run.shards": config("a", "b", run={"shards": 3}),
        "http": config("a", "b", http={"bind": "127.0.0.1:2"}, **run),
    }
    with at_work(first) as under:
        under.more("a")
        for why, other in wrong.items():
            with pytest.raises(SightlineError, match=why):
                under.deployment.apply(other)
            assert under.deployment.config is first
        under.more("a")
        assert [line.id for line in under.deployment.report().cameras] == ["a", "b"]
    assert whole(tmp_path / "a.jsonl")
    assert whole(tmp_path / "b.jsonl")


def test_the_latest_picture_is_there_for_whoever_asks(config: Make, shards: int) -> None:
    with at_work(config("a", "b", run={"shards": shards})) as under:
        snapshot = eventually(lambda: under.deployment.snapshot("b"))
        assert under.deployment.snapshot("nobody") is None
    picture = cv2.imdecode(np.frombuffer(snapshot.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (64, 96, 3)
    assert snapshot.frame["camera"] == "b"
    assert snapshot.frame["status"] == "ok"


@pytest.mark.slow
def test_results_are_those_of_a_run_without_changes(tmp_path: Path) -> None:
    """To the last byte: with a real detector, and the tracker in parts, which has a way back."""

    def street(folder: str, pace: str, *further: str) -> PipelineConfig:
        uris = {"a": "rendered:day?seed=1&seconds=4", "b": "rendered:day?seed=2&seconds=4"}
        uris |= dict.fromkeys(further, "rendered:dusk?seed=3&seconds=1")
        document = {
            "cameras": [
                {"id": name, "uri": f"{uri}&size=320x192&fps=25", "pace": pace}
                for name, uri in uris.items()
            ],
            "stages": {
                "detect": {"model": "street-pico", "workers": 2},
                "kalman": {},
                "matching": {},
                "screening": {},
            },
            "outputs": [{"file": {"path": str(tmp_path / folder / "{camera}.jsonl")}}],
        }
        return pipeline.loads(yaml.safe_dump(document))

    assert pipeline.run(pipeline.build(street("still", "asap"))).exit_code == 0
    changed = LocalDeployment(street("changed", "realtime"))
    assert changed.start()
    changes = 0
    while changed.report().emitted < 100:
        changes += 1
        changed.apply(street("changed", "realtime", *"cd"[: changes % 3]))
    assert changed.wait().exit_code == 0
    assert changes > 1
    for camera in ("a.jsonl", "b.jsonl"):
        still, moved = (tmp_path / folder / camera for folder in ("still", "changed"))
        assert len(lines(still)) == 100
        assert moved.read_bytes() == still.read_bytes()
