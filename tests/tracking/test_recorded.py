"""The tracker on recorded detections of real video, against the ground truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.detection.detections import Detections
from pipeline.evaluation.evaluate import Rules, combine, evaluate
from pipeline.evaluation.mot_files import MotTable, read_mot, table_from_rows
from pipeline.evaluation.preprocess import Benchmark
from pipeline.tracking.tracker import Tracker

pytestmark = pytest.mark.assets

MOT15 = {
    "ETH-Bahnhof": 14,
    "ETH-Sunnyday": 14,
    "KITTI-17": 10,
    "PETS09-S2L1": 7,
    "TUD-Campus": 25,
    "TUD-Stadtmitte": 25,
}


def track(seen: MotTable, fps: float) -> MotTable:
    """What the tracker makes of a detection file."""
    tracker, rows = Tracker(), []
    corner, extent = seen.boxes_xywh[:, :2], seen.boxes_xywh[:, 2:]
    boxes = np.concatenate((corner, corner + extent), axis=1).astype(np.float32)
    scores = seen.scores.astype(np.float32)
    for frame in range(1, int(seen.frames.max()) + 1):
        now = seen.frames == frame
        labels = np.zeros(np.count_nonzero(now), np.int32)
        found = Detections(boxes[now], scores[now], labels)
        tracks = tracker.update(found, round(frame / fps * 1e9))
        for i, (x1, y1, x2, y2) in zip(tracks.ids, tracks.boxes_xyxy, strict=True):
            rows.append((frame, i, x1, y1, x2 - x1, y2 - y1, 1, 1))
    return table_from_rows(rows)


@pytest.mark.parametrize(
    ("sequence", "mota", "idf1"), [("TUD-Stadtmitte", 75, 75), ("PETS09-S2L1", 57, 50)]
)
def test_detections_of_yolox_nano(assets: Path, sequence: str, mota: float, idf1: float) -> None:
    folder = assets / "tracking/MOT15" / sequence
    result = track(read_mot(folder / "ref/det_yolox_nano.txt"), MOT15[sequence])
    scores = evaluate(
        read_mot(folder / "gt/gt.txt"), result, Rules(benchmark=Benchmark.MOT15)
    ).summary()
    assert scores["MOTA"] >= mota
    assert scores["IDF1"] >= idf1


def test_better_than_sort_on_its_own_detections(assets: Path) -> None:
    ours, sort = [], []
    for sequence, fps in MOT15.items():
        folder = assets / "tracking/MOT15" / sequence
        truth, rules = read_mot(folder / "gt/gt.txt"), Rules(benchmark=Benchmark.MOT15)
        ours.append(evaluate(truth, track(read_mot(folder / "det/det.txt"), fps), rules))
        sort.append(evaluate(truth, read_mot(folder / "ref/sort_2236dff.txt"), rules))
    best, theirs = combine(ours).summary(), combine(sort).summary()
    assert best["HOTA"] > theirs["HOTA"] + 2
    assert best["IDF1"] > theirs["IDF1"] + 6
    assert best["IDSW"] < 0.75 * theirs["IDSW"]
