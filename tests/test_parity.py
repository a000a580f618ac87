"""Two bindings side by side: the first stage that differs is named, and by how much."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import pipeline
from pipeline.cli.main import app
from pipeline.detection.detections import Detections
from pipeline.graph import Graph
from pipeline.ledger import Ticket
from pipeline.media.picture import BgrPicture
from pipeline.packet import FrameInfo, Packet
from pipeline.parity import compare, difference, relative, tolerance
from pipeline.payloads import Detected
from pipeline.tracking.camera_motion import CameraMotion

CONFIG = """
cameras:
  - {id: street, uri: "rendered:day?seconds=1"}
engines:
  cpu0: {backend: onnxruntime, threads: 1}
stages:
  detect: {model: street-pico, engine: cpu0}
  postprocess: {score: %s}
  embed: {model: reid-pico, engine: cpu0}
outputs:
  - {file: {path: "%s"}}
"""


def graph(folder: Path, score: float = 0.1) -> Graph:
    return pipeline.build(pipeline.loads(CONFIG % (score, folder / "tracks.jsonl")))


def test_the_same_binding_differs_nowhere(tmp_path: Path) -> None:
    found = compare(graph(tmp_path), graph(tmp_path))
    assert found.first is None
    assert [stage.stage for stage in found.stages] == [
        "preprocess", "detect", "postprocess", "embed", "track",
    ]  # fmt: skip
    assert {stage.frames for stage in found.stages} == {25}
    assert found.ap50 == pytest.approx(1)
    assert found.tracks["IDF1"] == pytest.approx(100)
    assert not (tmp_path / "tracks.jsonl").exists()


def test_the_first_stage_that_differs_is_named(tmp_path: Path) -> None:
    found = compare(graph(tmp_path), graph(tmp_path, score=0.9), frames=10)
    assert found.first is not None
    assert found.first.stage == "postprocess"
    assert found.first.largest["objects"] > 0
    assert found.first.largest["boxes px"] == 0
    assert found.ap50 is not None
    assert found.ap50 < 0.999
    assert found.to_json()["first"] == "postprocess"


PARTS = ("kalman", "matching", "screening")


def in_parts(folder: Path, score: float = 0.1, gate: float = 0.2) -> Graph:
    """The same with the tracker in parts."""
    tracker = f"  kalman: {{rounds: {{high: {{at_least: {gate}}}}}}}\noutputs:"
    text = (CONFIG % (score, folder / "tracks.jsonl")).replace("outputs:", tracker)
    return pipeline.build(pipeline.loads(text))


@pytest.mark.parametrize(
    ("change", "differ", "follow"),
    [
        ({}, set(), set()),
        ({"score": 0.9}, {"postprocess"}, {"embed", *PARTS}),
        ({"gate": 0.9}, {"matching"}, {"kalman", "screening"}),
    ],
)
def test_a_stage_alone_shows_its_own_error_only(
    tmp_path: Path, change: dict[str, float], differ: set[str], follow: set[str]
) -> None:
    golden, other = in_parts(tmp_path), in_parts(tmp_path, **change)
    alone = compare(golden, other, frames=8, alone=True)
    assert {stage.stage for stage in alone.stages if stage.differing} == differ
    assert {stage.frames for stage in alone.stages} == {8}
    together = compare(golden, other, frames=8)
    assert {stage.stage for stage in together.stages if stage.differing} == differ | follow
    assert alone.first is None or alone.first.stage in differ
    assert alone.ap50 is None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, -2.0], [1.0, -2.0], 0),
        ([1.0, -2.0], [1.0, -2.5], 0.2),
        ([0.0], [0.0], 0),
        ([0.0], [1e-9], 1),
        ([], [], 0),
        ([1.0], [1.0, 2.0], float("inf")),
    ],
)
def test_differences_are_relative_to_the_magnitude(
    one: list[float], other: list[float], expected: float
) -> None:
    assert relative(np.array(one), np.array(other)) == pytest.approx(expected)


def test_motions_of_the_camera_are_compared_at_the_corners_of_the_picture() -> None:
    def seen(motion: CameraMotion | None) -> Packet[Detected]:
        picture = BgrPicture(np.zeros((100, 200, 3), np.uint8))
        frame = FrameInfo("gate", 0, 0, 0, 200, 100)
        return Packet(frame, Detected(picture, Detections.empty(), None, motion), Ticket("gate"))

    still = CameraMotion(np.eye(2, 3), since_ns=0)
    turned = CameraMotion(np.array([[1, -0.02, 0], [0.02, 1, 0]]), since_ns=0)
    assert difference(seen(still), seen(turned))["camera px"] == pytest.approx(4)
    assert difference(seen(turned), seen(None))["camera px"] == float("inf")
    assert "camera px" not in difference(seen(None), seen(None))
    assert tolerance("camera px") < 4


def test_the_command_takes_backends_and_fails_below_a_floor(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG % (0.1, tmp_path / "tracks.jsonl"))
    run = CliRunner()
    found = run.invoke(app, ["parity", "cpu0", "opencv", str(config), "--json", "--frames", "5"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.output)["ap50"] > 0.99
    some = ["--stages", "detect", "--frames", "2"]
    assert run.invoke(app, ["parity", "cpu0", "opencv", str(config), *some]).exit_code == 0
    state = ["--set", f"stages.track.state={tmp_path / 'state'}", "--frames", "2"]
    assert run.invoke(app, ["parity", "cpu0", "opencv", str(config), *state]).exit_code == 0
    assert not (tmp_path / "state").exists(), "what is compared leaves nothing for a later run"
    none = run.invoke(app, ["parity", "cpu0", "opencv", str(config), "--stages", "detct"])
    assert "no stage is called 'detct'; did you mean 'detect'?" in str(none.exception)
    wrong = run.invoke(app, ["parity", "cpu0", "opncv", str(config)])
    assert "did you mean 'opencv'" in str(wrong.exception)
    strict = ["--set", "stages.postprocess.score=1.0", "--min-ap50", "0.5"]
    assert run.invoke(app, ["parity", "cpu0", "cpu0", str(config), *strict]).exit_code == 0
