"""The shipped models, through the shipped configuration, on streets they have never seen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import pipeline
from pipeline.evaluation.evaluate import combine, evaluate
from pipeline.evaluation.mot_files import MotTable, table_from_rows
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.resources import shipped
from pipeline.world import MIN_HEIGHT_PX, MIN_VISIBILITY, SCENES, World
from training.seeds import TEST

SECONDS = 6


def tracked(scene: str, seed: int) -> MotTable:
    overrides = [
        f"cameras[0].uri='rendered:{scene}?seed={seed}&seconds={SECONDS}'",
        "outputs=[]",
    ]
    graph = pipeline.build(pipeline.load(shipped("configs") / "demo.yaml", overrides))
    return table_from_rows([row for packet in pipeline.stream(graph) for row in rows(packet)])


def rows(packet: Packet[Tracked]) -> Iterator[tuple[float, ...]]:
    tracks = packet.payload.tracks
    for i, (x1, y1, x2, y2), score, label in zip(
        tracks.ids, tracks.boxes_xyxy, tracks.scores, tracks.labels, strict=True
    ):
        yield packet.frame.index + 1, i, x1, y1, x2 - x1, y2 - y1, score, label + 1


def truth(scene: str, seed: int) -> MotTable:
    world = World(scene, seed)
    table = []
    for index in range(int(SECONDS * world.fps)):
        frame = world.render(index)
        for i, (x1, y1, x2, y2), label, visibility in zip(
            frame.ids, frame.boxes_xyxy, frame.labels, frame.visibility, strict=True
        ):
            counts = visibility >= MIN_VISIBILITY and y2 - y1 >= MIN_HEIGHT_PX
            table.append((index + 1, i, x1, y1, x2 - x1, y2 - y1, counts, label + 1))
    return table_from_rows(table)


@pytest.mark.slow
def test_the_floor_on_unseen_streets_is_reached() -> None:
    scores = [
        evaluate(truth(scene, seed), tracked(scene, seed)) for scene in SCENES for seed in TEST[:2]
    ]
    summary = combine(scores).summary()
    assert summary["HOTA"] >= 70
    assert summary["MOTA"] >= 80
    assert summary["IDF1"] >= 80
