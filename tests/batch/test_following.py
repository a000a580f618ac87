"""Seen in pieces and followed as a whole, a clip gives the bytes of a run of the whole graph."""

from __future__ import annotations

from pathlib import Path

import pytest

import pipeline
from pipeline.batch.clip import Clip
from pipeline.batch.following import Follower
from pipeline.batch.job import Answer, Followed, FollowJob, SeeJob, Seen
from pipeline.batch.seeing import Seer
from pipeline.config import PipelineConfig
from tests.batch.pieces import cut, street

CONFIG = """
cameras: [{{id: clip, uri: "{uri}"{camera}}}]
engines: {{cpu0: {{backend: onnxruntime, threads: 1}}}}
stages:
  {stages}
outputs: [{{file: {{path: "{out}/tracks.jsonl"}}}}]
batch: {{{batch}}}
"""
STAGES = {
    "one stage": "detect: {model: street-pico}",
    "workers": "detect: {model: street-pico, workers: 2}\n  postprocess: {workers: 2}",
    "embed needed": "detect: {model: street-pico}\n  embed: {model: reid-pico}",
    "embed always": "detect: {model: street-pico}\n  embed: {model: reid-pico, when: always}",
    "camera motion": "detect: {model: street-pico}\n  camera_motion: {width: 160}",
    "tracker in parts": "detect: {model: street-pico}\n  kalman: {}",
    "two stages": "backbone: {model: street-duo-rpn}\n  roi_head: {model: street-duo-head}",
    "cascade": "detect: {model: street-pico}\n  track: {}\n  "
    "classify: {model: colour-pico, of: [car, van, bus]}",
}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a street."""
    return street(tmp_path_factory.mktemp("video") / "street.mp4", 2)


def config_of(
    video: Path, out: Path, stages: str, camera: str = "", batch: str = ""
) -> PipelineConfig:
    return pipeline.loads(
        CONFIG.format(uri=video, camera=camera, stages=stages, out=out, batch=batch)
    )


def batch(config: PipelineConfig, clip: Clip, folder: Path) -> tuple[list[Seen], Followed]:
    """Both halves in this process, one after the other."""
    config = config.model_copy(update={"outputs": ()})
    answers: list[Answer] = []
    seer = Seer(config, answers.append)
    for segment in clip.segments:
        seer.give(SeeJob(clip, segment, folder))
    seer.finish()
    seer.run()
    seen = [answer for answer in answers if isinstance(answer, Seen)]
    follower = Follower(config, answers.append)
    follower.give(FollowJob(clip, folder, folder / "results"))
    for answer in seen:
        follower.ready(answer.clip, answer.segment)
    follower.finish()
    follower.run()
    (followed,) = (answer for answer in answers if isinstance(answer, Followed))
    return seen, followed


@pytest.mark.parametrize("name", STAGES)
def test_the_bytes_are_those_of_a_run(video: Path, tmp_path: Path, name: str) -> None:
    config = config_of(video, tmp_path, STAGES[name])
    pipeline.run(pipeline.build(config))
    clip = cut(video)
    assert len(clip.segments) > 4
    seen, followed = batch(config, clip, tmp_path / "work")
    assert not followed.error
    assert [answer.segment for answer in seen] == list(range(len(clip.segments)))
    assert sum(answer.frames for answer in seen) == 50
    found = (tmp_path / "work/results/tracks.jsonl").read_bytes()
    assert found == (tmp_path / "tracks.jsonl").read_bytes()
    assert followed.tracks > 2
