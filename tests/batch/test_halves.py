"""Which stages see, which follow, and what is handed over between them."""

from __future__ import annotations

import pytest

import pipeline
from pipeline.batch.halves import halves, last_stage
from pipeline.errors import GraphError
from pipeline.graph import Graph

CONFIG = """
cameras: [{{id: clip, uri: clip.mp4}}]
engines: {{cpu0: {{backend: onnxruntime}}}}
stages:
{stages}
"""
DETECT = "  detect: {model: street-pico}\n"
TWO_DETECTORS = """
  left: {kind: preprocess, after: decode}
  left_net: {kind: detect, model: street-pico, after: left}
  left_found: {kind: postprocess, after: left_net}
  right: {kind: preprocess, after: decode}
  right_net: {kind: detect, model: street-pico, after: right}
  right_found: {kind: postprocess, after: right_net}
  both: {kind: merge, after: [left_found, right_found]}
  track: {after: both}
"""


def graph(stages: str) -> Graph:
    return pipeline.build(pipeline.loads(CONFIG.format(stages=stages)))


CUTS = {
    "track": (DETECT, "postprocess", ["track"], False),
    "needed": (DETECT + "  embed: {model: reid-pico}", "postprocess", ["embed", "track"], True),
    "always": (DETECT + "  embed: {model: reid-pico, when: always}", "embed", ["track"], False),
    "moving": (
        DETECT + "  camera_motion: {}\n  embed: {model: reid-pico, when: always}",
        "postprocess",
        ["camera_motion", "embed", "track"],
        True,
    ),
    "parts": (DETECT + "  kalman: {}", "postprocess", ["kalman", "matching", "screening"], False),
    "cascade": (
        DETECT + "  track: {}\n  classify: {model: colour-pico}",
        "postprocess",
        ["track", "classify"],
        True,
    ),
    "two stages": (
        "  backbone: {model: street-duo-rpn}\n  roi_head: {model: street-duo-head}",
        "boxes",
        ["track"],
        False,
    ),
    "two detectors": (TWO_DETECTORS, "both", ["track"], False),
}


@pytest.mark.parametrize("name", CUTS)
def test_the_cut_is_before_what_remembers(name: str) -> None:
    stages, boundary, following, looks = CUTS[name]
    whole = graph(stages)
    divided = halves(whole)
    assert [node.name for node in divided.boundaries] == [boundary]
    assert [node.name for node in divided.following] == following
    assert divided.seeing == tuple(n for n in whole.nodes if n not in divided.following)
    assert divided.looks is looks
    assert last_stage(whole).name == following[-1]


def test_a_detector_that_only_what_follows_asks_is_seen_too() -> None:
    stages = TWO_DETECTORS.replace(
        "  track: {after: both}",
        "  moved: {kind: camera_motion, after: left_found}\n"
        "  track: {after: moved}\n  other: {kind: track, after: both}",
    )
    divided = halves(graph(stages))
    assert [node.name for node in divided.boundaries] == ["left_found", "both"]
    assert [node.name for node in divided.following] == ["moved", "track", "other"]


def test_a_batch_has_one_last_stage_that_gives_tracks() -> None:
    with pytest.raises(GraphError, match="track and other have none behind"):
        last_stage(graph(TWO_DETECTORS + "  other: {kind: track, after: both}"))
    seeing = graph(DETECT)
    without = Graph(seeing.cameras, tuple(n for n in seeing.nodes if n.name != "track"))
    with pytest.raises(GraphError, match="'postprocess', gives no tracks"):
        last_stage(without)
