"""The tracker on recorded detections of real video, against the ground truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.evaluation.evaluate import Rules, combine, evaluate
from pipeline.evaluation.mot_files import read_mot
from pipeline.evaluation.preprocess import Benchmark
from pipeline.tracking.offline import track_file

pytestmark = pytest.mark.assets

MOT15 = {
    "ETH-Bahnhof": 14,
    "ETH-Sunnyday": 14,
    "KITTI-17": 10,
    "PETS09-S2L1": 7,
    "TUD-Campus": 25,
    "TUD-Stadtmitte": 25,
}


@pytest.mark.parametrize(
    ("sequence", "mota", "idf1"), [("TUD-Stadtmitte", 75, 75), ("PETS09-S2L1", 57, 50)]
)
def test_detections_of_yolox_nano(assets: Path, sequence: str, mota: float, idf1: float) -> None:
    folder = assets / "tracking/MOT15" / sequence
    result = track_file(folder / "ref/det_yolox_nano.txt", MOT15[sequence]).table
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
        ours.append(evaluate(truth, track_file(folder / "det/det.txt", fps).table, rules))
        sort.append(evaluate(truth, read_mot(folder / "ref/sort_2236dff.txt"), rules))
    best, theirs = combine(ours).summary(), combine(sort).summary()
    assert best["HOTA"] > theirs["HOTA"] + 2
    assert best["IDF1"] > theirs["IDF1"] + 6
    assert best["IDSW"] < 0.75 * theirs["IDSW"]
