"""A folder as a batch leaves it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.analytics.event import Analysis, Event
from pipeline.batch import durable
from pipeline.batch.clip import Clip
from pipeline.batch.job import Followed, Seen
from pipeline.batch.manifest import MANIFEST, manifest
from pipeline.output.sinks import build_sink
from pipeline.output.spec import OutputSpec
from pipeline.packet import Packet, Status
from pipeline.payloads import Tracked
from pipeline.resources import shipped
from pipeline.stage import drive
from pipeline.tracking.track import Tracks
from pipeline.world import LABELS

CLIPS = ("day", "dusk")
BLIND = 10


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("batch") / "out"
    for clip in CLIPS:
        follow(out / clip, clip)
    (out / "batch.json").write_text(json.dumps({"clips": list(CLIPS)}))
    return out


@pytest.fixture
def out(_made: Path, tmp_path: Path) -> Path:
    """The results of two clips of a rendered street, each with a blind frame."""
    return Path(shutil.copytree(_made, tmp_path / "out"))


def follow(folder: Path, clip: str) -> None:
    """A second of a scene through the shipped models, and into every kind of file."""
    uri = f"rendered:{clip}?seed=5&seconds=1"
    overrides = [f"cameras[0].uri='{uri}'", f"cameras[0].id={clip}", "outputs=[]"]
    graph = pipeline.build(pipeline.load(shipped("configs") / "demo.yaml", overrides))
    packets = list(analysed(pipeline.stream(graph)))
    for said in (
        *({"file": {"path": name}} for name in ("tracks.jsonl", "tracks.csv", "tracks.mot.txt")),
        {"file": {"path": "coco.json", "format": "coco"}},
        {"events": {"path": "events.jsonl"}},
    ):
        ((kind, keys),) = said.items()
        spec = OutputSpec.model_validate({kind: keys | {"path": str(folder / keys["path"])}})
        list(drive(build_sink(spec, (clip,), LABELS), packets))
    write_manifest(folder)


def analysed(packets: Iterator[Packet[Tracked]]) -> Iterator[Packet[Tracked]]:
    """Each identity enters where it is first seen and soon leaves; a frame is blind."""
    first: dict[int, int] = {}
    for packet in packets:
        if packet.frame.index == BLIND:
            payload = replace(packet.payload, tracks=Tracks.empty(), analysis=Analysis())
            yield replace(packet, payload=payload, status=Status.BLIND, reason="engine failed")
            continue
        tracks, now = packet.payload.tracks, packet.frame.pts_ns
        events = []
        for track, label, box in zip(
            tracks.ids.tolist(), tracks.labels.tolist(), tracks.boxes_xyxy.tolist(), strict=True
        ):
            at = (box[0], box[3])
            if first.setdefault(track, now) == now:
                events.append(Event("street", "enter", now, track, label, at))
            elif first[track] <= now - 500_000_000:
                first[track] = 1 << 62
                events.append(Event("street", "leave", now, track, label, at, value=0.5))
        payload = replace(packet.payload, analysis=Analysis(tuple(events)))
        yield replace(packet, payload=payload)


def write_manifest(folder: Path) -> None:
    """Says what there is, as a batch does."""
    lines = read_jsonl(folder / "tracks.jsonl")
    first, name = lines[0], folder.name
    clip = Clip(name, f"{name}.mp4", width=first["width"], height=first["height"])
    ids = {track["id"] for line in lines for track in line["tracks"]}
    events = read_jsonl(folder / "events.jsonl")
    followed = Followed(name, tracks=len(ids), events=len(events))
    nothing = {"configuration": {"stages": {}}, "models": {}, "versions": {}}
    said = manifest(clip, nothing, [Seen(name, 0, len(lines))], followed, folder)
    durable.write_json(folder / MANIFEST, said)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """A file's lines as plain values."""
    return [json.loads(line) for line in path.read_text().splitlines()]
