"""Stages measured on engines, and what of it may be proposed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import pipeline
from pipeline.errors import StageError
from pipeline.graph import SOURCES
from pipeline.models.subject import subject
from pipeline.placing.candidates import (
    Candidates,
    allowed_engines,
    candidates,
    device_of,
    graph_of,
    new_engine,
    rebound,
)
from pipeline.placing.footage import Footage, shoot
from pipeline.placing.model import Option
from pipeline.placing.survey import Rules, Survey, survey
from pipeline.quantisation.compilation import Wishes, compile_model
from pipeline.quantisation.inputs import Request
from pipeline.resources import shipped

CONFIG = """
cameras: [{id: street, uri: "rendered:day"}]   # endless
engines:
  cpu0: {backend: onnxruntime, threads: 1}
  cv0: {backend: opencv, threads: 1}
  npu0: {backend: sim-npu, profile: hi3559a-nnie}
stages:
  detect: {model: street-pico, engine: [cpu0, cv0], workers: 1}
"""


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Candidates:
    """Of the detector, compiled for the device; proposed may be that and the one written."""
    config = pipeline.loads(CONFIG)
    allowed = allowed_engines(config, ["detect"], ["detect=cpu0,npu0"])["detect"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        video = shipped("sample_videos") / "day.mp4"
        wishes = Wishes("min-max", per_channel=True)
        compile_model(subject("street-pico"), "hi3559a-nnie", Request(str(video), 3), wishes)
        return candidates(config, "detect", allowed, "cpu0")


@pytest.fixture(scope="module")
def footage() -> list[Footage]:
    return [shoot(camera, 2) for camera in pipeline.build(pipeline.loads(CONFIG)).cameras]


def surveyed(engines: Candidates, footage: list[Footage], *, precision_change: bool) -> Survey:
    copies = 1 if precision_change else 2
    rules = Rules({"detect": engines}, {"npu0": "npu0"}, precision_change, copies)
    return survey(pipeline.build(pipeline.loads(CONFIG)), footage, rules)


@pytest.mark.parametrize("allowed", [False, True])
def test_another_precision_needs_a_word(
    engines: Candidates, footage: list[Footage], allowed: bool
) -> None:
    found = surveyed(engines, footage, precision_change=allowed)
    assert [step.name for step in found.steps] == [
        SOURCES, "preprocess", "detect", "postprocess", "track",
    ]  # fmt: skip
    rows = {row.engine: row for row in found.rows if row.stage == "detect"}
    assert rows["cpu0"].written
    npu = rows["npu0"]
    assert npu.found is not None
    assert npu.found.precision == "int8"
    assert npu.precision_change == "int8 instead of fp32"
    assert npu.allowed == allowed
    assert npu.remark == ("" if allowed else "needs --allow-precision-change")
    # Of int8 a quarter of what float32 has goes in.
    assert rows["cpu0"].found is not None
    assert 0 < npu.found.moved_bytes < rows["cpu0"].found.moved_bytes
    (step,) = [step for step in found.steps if step.name == "detect"]
    assert step.uses["npu0"].device == "npu0"
    assert {option.engine for option in step.options} == {"cpu0", *(["npu0"] if allowed else [])}
    assert {option.workers for option in step.options} == ({1} if allowed else {1, 2})
    assert found.processors > 0


def test_an_engine_that_fails_on_what_comes_is_told(light_meter: Path, tmp_path: Path) -> None:
    text = CONFIG.replace("street-pico", str(light_meter))
    dark = tmp_path / "dark"
    dark.mkdir()
    cv2.imwrite(str(dark / "0.png"), np.zeros((32, 48, 3), np.uint8))
    config = pipeline.loads(text, overrides=[f"cameras[0].uri={dark}"])
    graph = pipeline.build(config)
    own = candidates(config, "detect", ("cpu0",), "cpu0")
    rules = Rules({"detect": own}, {}, False, 1)
    with pytest.raises(StageError, match=r"as it is written, stage 'detect' fails: .*not finite"):
        survey(graph, [shoot(graph.cameras[0], 2)], rules)


def test_a_list_of_engines_keeps_its_members(engines: Candidates) -> None:
    config, changes = rebound(
        pipeline.loads(CONFIG), {"detect": Option("npu0", 2)}, {"detect": engines}
    )
    assert config.stages["detect"].model_dump()["engine"] == ("npu0", "cpu0", "cv0")
    assert [str(change) for change in changes] == [
        "stages.detect.engine=[npu0, cpu0, cv0]",
        "stages.detect.workers=2",
    ]
    assert rebound(config, {"detect": Option("cpu0", 1)}, {"detect": engines})[1] == []


@pytest.mark.parametrize(
    ("engine", "device"),
    [
        ("{backend: onnxruntime}", ""),
        ("{backend: onnxruntime, isolate: true}", ""),
        ("{backend: onnxruntime, device: 'cuda:0'}", "cuda:0"),
        ("{backend: torch, device: 'cuda:0'}", "cuda:0"),
        ("{backend: sim-npu}", "one"),
    ],
)
def test_engines_of_one_device_share_it(engine: str, device: str) -> None:
    config = pipeline.loads(CONFIG.replace("engines:", f"engines:\n  one: {engine}"))
    assert device_of(new_engine(config, "one")) == device


def test_a_tracker_in_parts_is_measured_and_leaves_nothing(
    light_meter: Path, tmp_path: Path
) -> None:
    text = f"""
cameras: [{{id: a, uri: "rendered:day"}}, {{id: b, uri: "rendered:day?seed=2"}}]
engines: {{cpu0: {{backend: onnxruntime}}, cv0: {{backend: opencv}}}}
stages:
  detect: {{model: {light_meter}, engine: cpu0, batch: {{max: 3, wait_ms: 1}}}}
  kalman: {{state: {tmp_path / "tracks"}}}
  matching: {{engine: cpu0}}
"""
    config = pipeline.loads(text)
    stages = ("detect", "matching")
    engines = {name: candidates(config, name, ("cpu0",), "cpu0") for name in stages}
    graph = graph_of(config)
    footage = [shoot(camera, 4) for camera in graph.cameras]
    found = survey(graph, footage, Rules(engines, {}, False, 1))
    loops = {step.name: (step.loop, step.loops) for step in found.steps if step.loop}
    assert loops == dict.fromkeys(("kalman", "matching", "screening"), ("kalman", 2))
    assert {step.name: step.wait_ms for step in found.steps if step.wait_ms} == {"detect": 1.0}
    assert not (tmp_path / "tracks").exists()
