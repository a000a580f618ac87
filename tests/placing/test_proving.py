"""Placements in the running graph: what they give, or why that does not count."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import pipeline
from pipeline.graph import Graph
from pipeline.ledger import Ticket
from pipeline.packet import FrameInfo, Packet
from pipeline.placing.footage import shoot
from pipeline.placing.model import Goal
from pipeline.placing.proving import Finish, prove

CONFIG = """
cameras: [{id: a, uri: PICTURES}, {id: b, uri: PICTURES, max_fps: 10}]
stages:
  preprocess: {after: decode, model: MODEL}
  detect: {after: preprocess, model: MODEL, workers: 2}
  other: {kind: detect, after: preprocess, model: MODEL}
  postprocess: {after: detect, model: MODEL}
  track: {after: postprocess}
outputs:
  - {file: {path: "{camera}.jsonl"}, after: track}
"""


def graph(folder: Path, model: Path, lights: list[int]) -> Graph:
    """Two cameras and two branches, of which one ends nowhere."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for index, light in enumerate(lights):
        cv2.imwrite(str(pictures / f"{index}.png"), np.full((32, 48, 3), light, np.uint8))
    text = CONFIG.replace("PICTURES", str(pictures)).replace("MODEL", str(model))
    return pipeline.build(pipeline.loads(text))


@pytest.mark.parametrize("goal", ["throughput", "latency"])
def test_each_is_run_every_round(
    goal: Goal, light_meter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = graph(tmp_path, light_meter, [100, 120, 140])
    footage = [shoot(camera, 3) for camera in one.cameras]
    rounds: list[int] = []
    proofs = prove([one, one], [1.0, 1.0], footage, goal, 2, 0.0, rounds.append)
    assert rounds == [0, 1, 2]
    assert [proof.error for proof in proofs] == ["", ""]
    assert all(len(proof.ms) == 2 and min(proof.ms) > 0 for proof in proofs)
    assert not list(tmp_path.glob("*.jsonl")), "an output was written"


def test_a_run_that_left_its_engine_does_not_count(light_meter: Path, tmp_path: Path) -> None:
    dark = graph(tmp_path, light_meter, [100, 0, 100])
    footage = [shoot(camera, 3) for camera in dark.cameras]
    (proof,) = prove([dark], [1.0], footage, "throughput", 2, 0.0)
    assert proof.ms == []
    assert "left its engine: " in proof.error
    assert "not finite" in proof.error


def test_an_engine_that_stands_by_need_not_be_there(light_meter: Path, tmp_path: Path) -> None:
    text = f"""
cameras: [{{id: a, uri: "rendered:day"}}]
engines: {{cpu0: {{backend: onnxruntime}}, far: {{backend: kserve, device: "http://127.0.0.1:1"}}}}
stages: {{detect: {{model: {light_meter}, engine: ENGINES, workers: 1}}}}
"""
    graphs = [
        pipeline.build(pipeline.loads(text.replace("ENGINES", engines)))
        for engines in ("[cpu0, far]", "[far, cpu0]")
    ]
    footage = [shoot(camera, 2) for camera in graphs[0].cameras]
    first, second = prove(graphs, [1.0, 1.0], footage, "throughput", 1, 0.0)
    assert first.error == ""
    assert second.error.startswith("stage detect left its engine: ")


def test_a_frame_is_out_when_its_last_branch_is() -> None:
    finish = Finish(2)
    one, other = (Packet(FrameInfo("a", n, n, n, 4, 4), None, Ticket("a")) for n in (0, 1))
    finish.arrive(one)
    finish.arrive(other)
    assert finish.ages_ms == []
    finish.arrive(one)
    assert len(finish.ages_ms) == 1
    assert finish.period_ms > 0
