"""The shipped models, through the shipped configuration, on streets they have never seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pipeline
from pipeline.evaluation.evaluate import combine, evaluate
from pipeline.evaluation.mot_files import MotTable, rows_of_frame, table_from_rows
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.resources import shipped
from pipeline.world import SCENES, World, WorldFrame
from training.seeds import TEST

SECONDS = 6


class Watched(World):
    """A world that keeps the truth of each picture it renders, which takes as long as to detect."""

    def __init__(self, *of_what: Any) -> None:
        super().__init__(*of_what)
        self.truth: dict[int, NDArray[np.float64]] = {}

    def render(self, index: int) -> WorldFrame:
        frame = super().render(index)
        row = frame.ids, frame.boxes_xyxy, frame.scored, frame.labels + 1
        self.truth[index] = rows_of_frame(index, *row)
        return frame


@pytest.fixture
def worlds(monkeypatch: pytest.MonkeyPatch) -> list[Watched]:
    """The worlds that sources render, in the order they are opened."""
    made: list[Watched] = []

    def make(*of_what: Any) -> World:
        made.append(Watched(*of_what))
        return made[-1]

    monkeypatch.setattr("pipeline.media.rendered.World", make)
    return made


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


@pytest.mark.slow
def test_the_floor_on_unseen_streets_is_reached(worlds: list[Watched]) -> None:
    found = [tracked(scene, seed) for scene in SCENES for seed in TEST[:2]]
    truths = [table_from_rows(np.concatenate(list(world.truth.values()))) for world in worlds]
    assert [len(world.truth) for world in worlds] == [SECONDS * world.fps for world in worlds]
    summary = combine(list(map(evaluate, truths, found))).summary()
    assert summary["HOTA"] >= 70
    assert summary["MOTA"] >= 80
    assert summary["IDF1"] >= 80
