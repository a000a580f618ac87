"""The shipped models, through the shipped configuration, on streets they have never seen."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import pipeline
from pipeline.evaluation.evaluate import combine, evaluate
from pipeline.evaluation.mot_files import MotTable, rows_of_frame, table_from_rows
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.resources import shipped
from pipeline.world import SCENES, World
from training.seeds import TEST

SECONDS = 6


def tracked(scene: str, seed: int) -> MotTable:
    overrides = [
        f"cameras[0].uri='rendered:{scene}?seed={seed}&seconds={SECONDS}'",
        "outputs=[]",
    ]
    graph = pipeline.build(pipeline.load(shipped("configs") / "demo.yaml", overrides))
    return table_from_rows(np.concatenate([rows(packet) for packet in pipeline.stream(graph)]))


def rows(packet: Packet[Tracked]) -> NDArray[np.float64]:
    tracks = packet.payload.tracks
    row = tracks.ids, tracks.boxes_xyxy, tracks.scores, tracks.labels + 1
    return rows_of_frame(packet.frame.index, *row)


def truth(scene: str, seed: int) -> MotTable:
    world = World(scene, seed)
    table = []
    for index in range(int(SECONDS * world.fps)):
        frame = world.render(index)
        row = frame.ids, frame.boxes_xyxy, frame.scored, frame.labels + 1
        table.append(rows_of_frame(index, *row))
    return table_from_rows(np.concatenate(table))


@pytest.mark.slow
def test_the_floor_on_unseen_streets_is_reached() -> None:
    scores = [
        evaluate(truth(scene, seed), tracked(scene, seed)) for scene in SCENES for seed in TEST[:2]
    ]
    summary = combine(scores).summary()
    assert summary["HOTA"] >= 70
    assert summary["MOTA"] >= 80
    assert summary["IDF1"] >= 80
