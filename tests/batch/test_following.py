"""Seen in pieces and followed as a whole, a clip gives the bytes of a run of the whole graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pipeline
from pipeline.batch.clip import Clip
from pipeline.batch.following import EVENTS, EVIDENCE, FILES, VIDEO, Follower
from pipeline.batch.inputs import Input
from pipeline.batch.job import Answer, Followed, FollowJob, SeeJob, Seen
from pipeline.batch.probe import probe
from pipeline.batch.seeing import Seer
from pipeline.config import OutputConfig, PipelineConfig
from tests.batch.pieces import cut, street
from tests.output.full import largest_file

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
    """A little more than a second of a street, with five key frames."""
    return street(tmp_path_factory.mktemp("video") / "street.mp4", 1.2, gop=6)


def config_of(
    video: Path, out: Path, stages: str, camera: str = "", batch: str = ""
) -> PipelineConfig:
    return pipeline.loads(
        CONFIG.format(uri=video, camera=camera, stages=stages, out=out, batch=batch)
    )


def batch(config: PipelineConfig, clip: Clip, folder: Path) -> tuple[list[Seen], Followed]:
    """Both halves in this process, one after the other."""
    return see(config, clip, folder), follow(config, clip, folder)


def see(config: PipelineConfig, clip: Clip, folder: Path) -> list[Seen]:
    answers: list[Answer] = []
    seer = Seer(config.model_copy(update={"outputs": ()}), answers.append)
    for segment in clip.segments:
        seer.give(SeeJob(clip, segment, folder))
    seer.finish()
    seer.run()
    return [answer for answer in answers if isinstance(answer, Seen)]


def follow(config: PipelineConfig, clip: Clip, folder: Path) -> Followed:
    answers: list[Answer] = []
    follower = Follower(config.model_copy(update={"outputs": ()}), answers.append)
    follower.give(FollowJob(clip, folder, folder / "results"))
    for segment in clip.segments:
        follower.ready(clip.name, segment.number)
    follower.finish()
    follower.run()
    (followed,) = (answer for answer in answers if isinstance(answer, Followed))
    return followed


@pytest.mark.parametrize("name", STAGES)
def test_the_bytes_are_those_of_a_run(video: Path, tmp_path: Path, name: str) -> None:
    config = config_of(video, tmp_path, STAGES[name])
    pipeline.run(pipeline.build(config))
    clip = cut(video)
    assert len(clip.segments) > 4
    seen, followed = batch(config, clip, tmp_path / "work")
    assert not followed.error
    assert [answer.segment for answer in seen] == list(range(len(clip.segments)))
    assert sum(answer.frames for answer in seen) == 30
    found = (tmp_path / "work/results/tracks.jsonl").read_bytes()
    assert found == (tmp_path / "tracks.jsonl").read_bytes()
    assert followed.tracks > 2


ANALYSED = """
  detect: {model: street-pico}
  analyse:
    rules:
      middle: {kind: line, points: [[0.5, 0.0], [0.5, 1.0]]}
      all: {kind: zone, points: [[0, 0], [1, 0], [1, 1], [0, 1]]}
"""


def test_every_file_is_that_of_a_run(video: Path, tmp_path: Path) -> None:
    wishes = "results: [csv, mot, coco], annotate: true, evidence: true, thumbnails: 2"
    config = config_of(video, tmp_path, ANALYSED, batch=wishes)
    outputs = [
        *({"file": {"path": str(tmp_path / name), "format": form}} for form, name in FILES.items()),
        {"annotate": {"path": str(tmp_path / VIDEO), "latency": False}},
        {"events": {"path": str(tmp_path / EVENTS), "pictures": str(tmp_path / EVIDENCE)}},
    ]
    specs = [OutputConfig.model_validate({**output, "after": "analyse"}) for output in outputs]
    pipeline.run(pipeline.build(config.model_copy(update={"outputs": tuple(specs)})))
    _, followed = batch(config, cut(video), tmp_path / "work")
    assert not followed.error
    assert followed.events > 2
    results = tmp_path / "work/results"
    names = [*FILES.values(), VIDEO, EVENTS]
    evidence = [path.relative_to(tmp_path) for path in (tmp_path / EVIDENCE).iterdir()]
    assert len(evidence) >= followed.events
    for name in (*names, *evidence):
        assert (results / name).read_bytes() == (tmp_path / name).read_bytes(), name
    assert (results / "digest.json").exists()


@pytest.mark.parametrize(
    ("some", "taken"), [("every: 3, start_s: 0.5, end_s: 1.1", 5), ("key_frames: true", 5)]
)
def test_frames_taken_are_those_a_camera_takes(
    video: Path, tmp_path: Path, some: str, taken: int
) -> None:
    wishes = f"{some}, segment_s: 0.2"
    config = config_of(video, tmp_path, STAGES["embed needed"], f", {some}", wishes)
    pipeline.run(pipeline.build(config))
    clip = probe(Input(str(video), "clip"), config.batch)
    assert len(clip.segments) > 2
    seen, followed = batch(config, clip, tmp_path / "work")
    assert not followed.error
    assert sum(answer.frames for answer in seen) == taken
    found = (tmp_path / "work/results/tracks.jsonl").read_bytes()
    assert found == (tmp_path / "tracks.jsonl").read_bytes()


def test_a_damaged_file_is_the_same_to_both_halves(video: Path, tmp_path: Path) -> None:
    data = bytearray(video.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    found = []
    for name in ("embed needed", "one stage"):
        config = config_of(damaged, tmp_path, STAGES[name], batch="segment_s: 0.2")
        clip = probe(Input(str(damaged), "clip"), config.batch)
        assert len(clip.segments) > 2
        seen, followed = batch(config, clip, tmp_path / name)
        assert not followed.error
        assert any(answer.faults for answer in seen)
        lines = (tmp_path / name / "results/tracks.jsonl").read_text().splitlines()
        found.append([(line["frame"], line["status"]) for line in map(json.loads, lines)])
    assert found[0] == found[1]
    assert [frame for frame, _ in found[0]] == list(range(30))
    assert {status for _, status in found[0]} == {"ok", "damaged"}


def test_a_full_disk_is_an_error(video: Path, tmp_path: Path) -> None:
    config, clip = config_of(video, tmp_path, STAGES["one stage"]), cut(video)
    see(config, clip, tmp_path)
    with largest_file(10_000):
        followed = follow(config, clip, tmp_path)
    assert followed.error == "file: the disk is full: not all could be written"
