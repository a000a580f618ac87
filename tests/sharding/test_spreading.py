from __future__ import annotations

import pipeline
from pipeline.sharding import spreading
from pipeline.sharding.spreading import part, spread

CONFIG = """
cameras: [{id: a, uri: "rendered:day"}, {id: b, uri: "rendered:day"}, {id: c, uri: "rendered:day"}]
stages: {detect: {model: street-pico}, track: {}}
run: {shards: auto}
"""


def test_cameras_are_dealt_out_evenly() -> None:
    assert spread(["a", "b", "c", "d", "e"], 2, {}) == {"a": 0, "b": 1, "c": 0, "d": 1, "e": 0}
    assert spread(["a"], 3, {}) == {"a": 0}


def test_cameras_stay_where_they_are_and_new_ones_go_where_there_is_room() -> None:
    before = {"a": 0, "b": 1, "c": 0, "d": 1}
    assert spread(["b", "d", "a", "new"], 2, before) == {"b": 1, "d": 1, "a": 0, "new": 0}
    assert spread(["b", "d"], 2, before) == {"b": 1, "d": 1}


def test_a_part_has_its_cameras_only_and_its_share_of_the_machine(monkeypatch) -> None:
    monkeypatch.setattr(spreading.os, "sched_getaffinity", lambda pid: range(8))
    config = pipeline.loads(CONFIG)
    assert spreading.places(config) == 8
    whole = part(config, {"a": 0, "b": 1, "c": 0}, 0, 2)
    assert whole is not None
    assert [camera.id for camera in whole.cameras] == ["a", "c"]
    assert spreading.cores(whole) == 4
    assert whole.stages == config.stages
    assert part(config, {"a": 0, "b": 1, "c": 0}, 2, 2) is None
