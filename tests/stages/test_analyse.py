"""analyse: its place in a graph, cameras that come and go, reloads, and mistakes in its rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline
from pipeline.analytics.event import Analysis
from pipeline.analytics.line import LineSpec
from pipeline.analytics.zone import ZoneSpec
from pipeline.config import AnalyseConfig, Overlay
from pipeline.detection.detections import Detections
from pipeline.errors import ConfigError
from pipeline.ledger import Ticket
from pipeline.media.picture import BgrPicture
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.payloads import Tracked
from pipeline.stages.analyse import AnalyseStage
from tests.analytics.paths import told, tracks

PICTURE = BgrPicture(np.zeros((4, 4, 3), np.uint8))
LINE = LineSpec(points=((300, 500), (700, 500)), unit="pixels")
SQUARE = ZoneSpec(points=((400, 400), (600, 400), (600, 600), (400, 600)), unit="pixels")
HERE_AND_THERE = (400, 600)


def stage(**rules: Any) -> AnalyseStage:
    return AnalyseStage(AnalyseConfig(rules=rules), 2.0)


def packet(second: int, y: float, camera: str = "a", **frame: Any) -> Packet[Tracked]:
    """One object that is `y` below the top, in a picture of 1000 x 1000 pixels."""
    info = FrameInfo(camera, second, second, second * 10**9, 1000, 1000, **frame)
    return Packet(info, Tracked(PICTURE, Detections.empty(), tracks({1: (500, y)})), Ticket(camera))


def analysed(stage: AnalyseStage, packets: Iterable[Packet[Tracked]]) -> list[Analysis]:
    found = [out.payload.analysis for taken in packets for out in stage.process(taken)]
    return [analysis for analysis in found if analysis is not None]


def counted(stage: AnalyseStage, ways: Sequence[float], first: int = 0, camera: str = "a") -> Any:
    """What the rules have counted at the end."""
    packets = (packet(first + second, y, camera) for second, y in enumerate(ways))
    return analysed(stage, packets)[-1].tallies


def test_each_camera_by_itself_and_a_camera_that_is_gone_is_forgotten() -> None:
    one = stage(gate=LINE)
    assert counted(one, HERE_AND_THERE) == {"gate": {"in": 1, "out": 0}}
    assert counted(one, HERE_AND_THERE[::-1], camera="b") == {"gate": {"in": 0, "out": 1}}
    one.forget("a")
    one.forget("never-there")
    assert counted(one, (600,), 2) == {"gate": {"in": 0, "out": 0}}, "its path begins anew"
    assert one.counts() == {"events": 2}


def test_rules_are_for_the_cameras_they_name() -> None:
    both = stage(gate=LINE, yard=SQUARE.model_copy(update={"cameras": ("b",)}))
    assert list(counted(both, (400,))) == ["gate"]
    assert list(counted(both, (400,), camera="b")) == ["gate", "yard"]


def test_what_is_known_outlives_a_change_of_other_rules() -> None:
    before = stage(gate=LINE, yard=SQUARE)
    counted(before, (300, 400, 600, 450, 550))
    changed = SQUARE.model_copy(update={"loiter_s": 1.0})
    after = stage(gate=LINE, yard=changed, other=LINE)
    after.succeed(before)
    assert counted(after, (450,), 5) == {
        "gate": {"in": 2, "out": 2},
        "yard": {"inside": 1, "entered": 1, "left": 0},
        "other": {"in": 0, "out": 1},
    }, "the path goes on, for rules that are new as well"
    newest = stage(gate=LINE)
    newest.succeed(after)
    assert counted(newest, (550,), 6)["gate"] == {"in": 3, "out": 2}


def test_a_camera_that_waits_through_two_changes_is_not_forgotten() -> None:
    first, second, third = stage(gate=LINE), stage(gate=LINE), stage(gate=LINE)
    counted(first, (400,))
    second.succeed(first)
    third.succeed(second)
    assert counted(third, (600,), 1) == {"gate": {"in": 1, "out": 0}}


def test_frames_of_which_nothing_is_known_change_nothing_but_time() -> None:
    one = stage(yard=ZoneSpec(points=SQUARE.points, unit="pixels", loiter_s=1.5))
    blind = packet(1, 0)
    blind = blind.carrying(Tracked(PICTURE, Detections.empty(), tracks({1: (500, 300)}, [1])))
    found = analysed(one, [packet(0, 500), blind.marked(Status.BLIND, "gone"), packet(2, 510)])
    assert [told(analysis.events) for analysis in found] == [["enter"], [], ["loiter"]]


def test_a_new_epoch_ends_all_paths() -> None:
    found = analysed(stage(gate=LINE), [packet(0, 400), packet(1, 600, epoch=1)])
    assert not found[-1].events


CONFIG = """
cameras: [{id: gate, uri: "rendered:day?seconds=0.4"}, {id: yard, uri: "rendered:day?seed=2"}]
stages:
  detect: {model: street-pico}
  analyse:
    rules:
      line: {kind: line, points: [[0.1, 0.5], [0.9, 0.5]], classes: [person], cameras: [gate]}
outputs: [{file: {path: out.jsonl}}]
"""


def test_it_is_the_last_of_the_chain() -> None:
    config = pipeline.loads(CONFIG)
    assert config.stages["analyse"].after == ("track",)
    (node,) = [node for node in pipeline.build(config).nodes if node.name == "analyse"]
    assert node.stage is AnalyseStage
    parts = CONFIG.replace("  analyse:", "  kalman: {}\n  analyse:")
    assert pipeline.loads(parts).stages["analyse"].after == ("screening",)


def test_the_output_has_what_was_found(tmp_path: Path) -> None:
    text = CONFIG.replace("?seed=2", "?seconds=0.2&seed=2").replace(
        "out.jsonl", f"{tmp_path}/o.jsonl"
    )
    report = pipeline.run(pipeline.build(pipeline.loads(text)))
    assert report.balanced
    lines = (tmp_path / "o.jsonl").read_text().splitlines()
    assert sum('"tallies":{"line":{"in":' in line for line in lines) == 10, "those of the gate"
    assert sum('"tallies":{}' in line for line in lines) == 5


RULE = "line: {kind: line, points: [[0.1, 0.5], [0.9, 0.5]], classes: [person], cameras: [gate]}"


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ("line: {kind: lien, points: []}", "'lien' is no kind of rule; did you mean 'line'?"),
        ("line: {points: []}", "rules.line: has no 'kind'; say one of abandoned, crowd,"),
        (RULE + "\n      " + RULE, "rules.line: written twice, first in line 7"),
        (RULE.replace("[gate]", "[gat]"), "no camera is called 'gat'; did you mean 'gate'?"),
        (RULE.replace("person", "persn"), "no label is called 'persn'; did you mean 'person'?"),
        (RULE.replace("points", "pionts"), "unknown key 'pionts'; did you mean 'points'?"),
        (RULE.replace("[[0.1, 0.5], [0.9", "[[10, 0.5], [0.9"), "write unit: pixels"),
        ("bad name: {kind: line, points: []}", "rules"),
        ("fast: {kind: speed, limit_kmh: 30}", "rule 'fast' needs to know the ground"),
        ("fast: {kind: speed, limit_kmh: fast}", "limit_kmh: expected a number"),
        ("bag: {kind: abandoned, classes: [car], by: [prson]}", "no label is called 'prson'"),
        ("zone: {kind: zone, points: [[0, 0], [1, 1]]}", "points: expected at least 3 entries"),
    ],
)  # fmt: skip
def test_mistakes_are_told_where_they_are(rule: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        pipeline.build(pipeline.loads(CONFIG.replace(RULE, rule), "f.yaml"))
    assert complaint in str(caught.value)
    assert "f.yaml:" in str(caught.value)


def test_the_example_is_right() -> None:
    path = Path(__file__).resolve().parents[2] / "configs" / "analytics.yaml"
    graph = pipeline.build(pipeline.load(path))
    assert "analyse" in [node.name for node in graph.nodes]


def test_tracks_have_to_come_from_somewhere() -> None:
    text = CONFIG.replace("  analyse:", "  analyse:\n    after: postprocess")
    text = text.replace("detect: {", "detect: {after: preprocess, ").replace(
        "  detect:", "  preprocess: {after: decode}\n  postprocess: {after: detect}\n  detect:"
    )
    with pytest.raises(ConfigError, match=r"stages\.analyse: there is no tracker before it"):
        pipeline.build(pipeline.loads(text))


def test_a_camera_that_was_removed_meanwhile_may_still_be_named() -> None:
    config = pipeline.loads(CONFIG, overlay=Overlay().removing("gate"))
    assert [camera.id for camera in config.cameras] == ["yard"]
    added = {"id": "new", "uri": "rendered:night"}
    text = CONFIG.replace("cameras: [gate]}", "cameras: [new]}")
    assert len(pipeline.loads(text, overlay=Overlay().adding(added)).cameras) == 3
