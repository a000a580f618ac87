"""Processes that see and follow: what they answer, and what one leaves that is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pipeline
from pipeline.batch.clip import Clip
from pipeline.batch.helper import Helper, wait
from pipeline.batch.job import Answer, Followed, FollowJob, SeeJob, Seen, Under
from pipeline.config import PipelineConfig
from pipeline.errors import StageError
from tests.batch.pieces import cut, street

CONFIG = """
cameras: [{{id: clip, uri: clip.mp4}}]
engines: {{cpu0: {{backend: {backend}}}}}
stages: {{detect: {{model: "{model}", engine: cpu0}}}}
"""
WAIT_S = 120


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return cut(street(tmp_path_factory.mktemp("video") / "street.mp4", 4, gop=25))


@pytest.fixture(scope="module")
def config(light_meter: Path) -> PipelineConfig:
    return config_on("onnxruntime", light_meter)


def config_on(backend: str, model: Path) -> PipelineConfig:
    return pipeline.loads(CONFIG.format(backend=backend, model=model))


@contextmanager
def helper(config: PipelineConfig, kind: str) -> Iterator[Helper]:
    process = Helper(config, kind, 2)
    try:
        yield process
    finally:
        process.end()


def answers_until(process: Helper, enough: Callable[[list[Answer]], bool]) -> list[Answer]:
    found: list[Answer] = []
    deadline_s = time.monotonic() + WAIT_S
    while not enough(found) and not process.died:
        assert time.monotonic() < deadline_s
        wait([process], WAIT_S)
        found += process.answers()
    return found


def until_it_ended(process: Helper) -> list[Answer]:
    return answers_until(process, lambda found: False)


def see(config: PipelineConfig, clip: Clip, folder: Path) -> list[Answer]:
    with helper(config, "see") as seer:
        for segment in clip.segments:
            seer.give(SeeJob(clip, segment, folder))
        seer.finish()
        found = until_it_ended(seer)
        assert seer.died == "ended with 0"
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def seen(config: PipelineConfig, clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seen")
    found = see(config, clip, folder)
    assert [(a.segment, a.frames) for a in found if isinstance(a, Seen)] == [
        (number, 25) for number in range(4)
    ]
    assert sum(answer.frames for answer in found if isinstance(answer, Under)) == 100
    return folder


def test_a_follower_follows_as_segments_become_ready(config, clip, seen, tmp_path) -> None:
    with helper(config, "follow") as follower:
        follower.give(FollowJob(clip, seen, tmp_path))
        for number in (0, 2, 1):
            follower.ready("clip", number)
        under = answers_until(
            follower, lambda found: sum(a.frames for a in found if isinstance(a, Under)) == 75
        )
        assert not any(isinstance(answer, Followed) for answer in under)
        follower.ready("clip", 3)
        follower.finish()
        (followed,) = (a for a in until_it_ended(follower) if isinstance(a, Followed))
    assert followed.error == ""
    assert followed.report["ledger"]["clip"]["emitted"] == 100
    assert (tmp_path / "tracks.jsonl").read_bytes().count(b"\n") == 100


def test_what_a_killed_process_left_is_made_again(config, clip, seen, tmp_path) -> None:
    with helper(config, "see") as seer:
        for segment in clip.segments:
            seer.give(SeeJob(clip, segment, tmp_path))
        answers_until(seer, lambda found: any(isinstance(answer, Seen) for answer in found))
        os.kill(seer.pid, signal.SIGKILL)
        until_it_ended(seer)
        assert seer.died == "was killed by SIGKILL"
    left = contents(tmp_path)
    whole = contents(seen)
    assert left["000000.json"] == whole["000000.json"]
    for name, data in left.items():
        assert name.endswith(".part") or data == whole[name]
    see(config, clip, tmp_path)
    assert contents(tmp_path) == whole


def test_damage_is_an_error_and_not_an_end(config, clip, seen, tmp_path) -> None:
    folder = tmp_path / "seen"
    folder.mkdir()
    for name, data in contents(seen).items():
        broken = data[:-9] if name == "000002-postprocess.seen" else data
        (folder / name).write_bytes(broken)
    with helper(config, "follow") as follower:
        for results in ("one", "two"):
            follower.give(FollowJob(clip, folder, tmp_path / results))
            for segment in clip.segments:
                follower.ready("clip", segment.number)
            found = answers_until(
                follower, lambda found: any(isinstance(answer, Followed) for answer in found)
            )
            (followed,) = (answer for answer in found if isinstance(answer, Followed))
            assert "000002-postprocess.seen: is damaged" in followed.error
            assert not (tmp_path / results / "tracks.jsonl").exists()


def test_a_process_that_cannot_begin_says_why(light_meter: Path) -> None:
    with helper(config_on("host", light_meter), "see") as seer:
        until_it_ended(seer)
        assert seer.died.startswith("ended with 1 (")
        assert "light-meter" in seer.died


def test_no_process_more(config: PipelineConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(StageError, match="no process can be started"):
        Helper(config, "see", 1)
