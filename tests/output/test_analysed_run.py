"""A street that is rendered, seen, tracked and analysed: every output tells of the same events."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import av
import cv2
import pytest

import pipeline
from pipeline.cli.listen import line
from pipeline.errors import ConfigError
from pipeline.output.eventlines import record
from pipeline.output.listen import Listener
from pipeline.output.message import Message
from pipeline.resources import shipped

SECONDS = 4
RULES = """
{rules: {
  middle: {kind: line, points: [[0.5, 0], [0.5, 1]], anchor: centre},
  street: {kind: zone, points: [[0, 0.4], [1, 0.4], [1, 1], [0, 1]], loiter_s: 2}},
 ground: [{points: [[0, 0.5], [1, 0.5], [1, 1], [0, 1]],
           metres: [[-20, 40], [20, 40], [5, 0], [-5, 0]]}]}
"""


def load(outputs: str, *more: str) -> pipeline.PipelineConfig:
    camera = f"cameras[0]={{id: gate, uri: 'rendered:day?seed=5&seconds={SECONDS}'}}"
    said = [camera, f"stages.analyse={RULES}", f"outputs={outputs}", *more]
    return pipeline.load(shipped("configs") / "demo.yaml", said)


def heard(listener: Listener, messages: list[Message]) -> threading.Thread:
    """Listens until the camera's last message came."""

    def listen() -> None:
        for message in listener.messages(timeout_s=30):
            messages.append(message)
            if message.last:
                return

    thread = threading.Thread(target=listen)
    thread.start()
    return thread


def events_of(messages: list[Message]) -> list[dict[str, Any]]:
    """As lines of a file have them, but for what fragments and telegrams do not tell."""
    lines = [
        record(message, event, ("person", "bicycle", "car"), None, None)
        for message in messages
        if message.analysis is not None
        for event in message.analysis.events
    ]
    return [comparable(line) for line in lines]


def comparable(line: dict[str, Any]) -> dict[str, Any]:
    kept = ("camera", "frame", "pts_ns", "rule", "kind", "direction", "track", "label", "unit")
    places = {"at": [round(pixel, 1) for pixel in line["at"]]}
    return {key: line[key] for key in kept} | places


def test_every_output_tells_of_the_same_events(tmp_path: Path) -> None:
    telegrams: list[Message] = []
    texts: list[Message] = []
    with Listener("127.0.0.1:0") as first, Listener("127.0.0.1:0") as second:
        outputs = f"""
        [{{file: {{path: {tmp_path}/tracks.jsonl}}}},
         {{events: {{path: {tmp_path}/events.jsonl, pictures: {tmp_path}/evidence}}}},
         {{events: {{path: {tmp_path}/events.csv}}}},
         {{annotate: {{path: {tmp_path}/annotated.mp4, latency: false}}}},
         {{udp: {{to: "{first.address}"}}}},
         {{udp: {{to: "{second.address}", format: json}}}}]
        """
        threads = [heard(first, telegrams), heard(second, texts)]
        report = pipeline.run(pipeline.build(load(outputs)))
        for thread in threads:
            thread.join()
    found = [json.loads(text) for text in (tmp_path / "events.jsonl").read_text().splitlines()]
    frames = [json.loads(text) for text in (tmp_path / "tracks.jsonl").read_text().splitlines()]
    assert {event["kind"] for event in found} >= {"cross", "enter"}
    whole = [comparable(event) for event in found]
    assert [comparable(frame | event) for frame in frames for event in frame["events"]] == whole
    assert events_of(texts) == whole
    assert [event | {"at": 0} for event in events_of(telegrams)] == [e | {"at": 0} for e in whole]
    assert (tmp_path / "events.csv").read_text().count("\n") == len(whole) + 1
    check_pictures(tmp_path, found)
    check_counts(frames, whole)
    assert any(track["speed_kmh"] for frame in frames for track in frame["tracks"])
    shown = "\n".join(map(line, telegrams))
    assert shown.count("\n  ! ") == len(whole)
    assert "! " + f"{whole[0]['pts_ns'] / 1e9:.3f} s {whole[0]['rule']}" in shown
    with av.open(str(tmp_path / "annotated.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == len(frames) == report.emitted


def check_pictures(folder: Path, found: list[dict[str, Any]]) -> None:
    for number, event in enumerate(found):
        assert event["picture"] == f"evidence/{number:06d}-{event['rule']}.jpg"
        assert cv2.imread(str(folder / event["picture"])) is not None
        assert (event["crop"] is None) == (event["box"] is None)
    assert any(event["crop"] for event in found)


def check_counts(frames: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
    """What a line counted is how often it was crossed."""
    for direction, count in frames[-1]["tallies"]["middle"].items():
        crossed = [e for e in events if e["rule"] == "middle" and e["direction"] == direction]
        assert len(crossed) == count


def test_events_need_a_stage_that_finds_them() -> None:
    said = ["cameras[0]={id: gate, uri: 'rendered:day'}", "outputs=[{events: {path: a.csv}}]"]
    config = pipeline.load(shipped("configs") / "demo.yaml", said)
    with pytest.raises(ConfigError, match=r"outputs\[0\].*kind analyse before it"):
        pipeline.build(config)


def test_rules_that_change_begin_what_draws_them_anew_and_nothing_else() -> None:
    outputs = (
        "[{file: {path: a.csv}}, {events: {path: b.csv, pictures: c}}, {annotate: {path: d.mp4}}]"
    )
    nodes = [
        {node.name: node.signature for node in pipeline.build(load(outputs, *more)).nodes}
        for more in ((), ("stages.analyse.rules.middle.points=[[0.4, 0], [0.4, 1]]",))
    ]
    changed = {name for name, signature in nodes[0].items() if signature != nodes[1][name]}
    assert changed == {"analyse", "events", "annotate"}
