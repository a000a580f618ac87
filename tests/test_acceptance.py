"""The promises on real video, run as a user runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

import pipeline
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.pairs import Pair

CONFIGS = Path(__file__).parent.parent / "configs" / "acceptance"


@pytest.mark.assets
@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "sequence", "scale", "mota", "idf1"),
    [
        ("yolox_nano_tud.yaml", "TUD-Stadtmitte", 1.0, 75, 75),
        ("yolox_nano_pets.yaml", "PETS09-S2L1", 0.625, 57, 50),
    ],
)
def test_floors_on_real_video(
    config: str,
    sequence: str,
    scale: float,
    mota: float,
    idf1: float,
    assets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIGHTLINE_ASSETS", str(assets))
    monkeypatch.setenv("OUT", str(tmp_path))
    report = pipeline.run(pipeline.build(pipeline.load(CONFIGS / config)))
    assert report.balanced
    truth = assets / "tracking/MOT15" / sequence / "gt/gt.txt"
    scores = evaluate(*Pair(sequence, truth, tmp_path / "tracks.mot.txt").read(scale)).summary()
    assert scores["MOTA"] >= mota
    assert scores["IDF1"] >= idf1


@pytest.mark.assets
@pytest.mark.slow
def test_the_same_real_video_gives_the_same_bytes(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_ASSETS", str(assets))
    results = set()
    for workers, threads, pace in ((1, 1, "asap"), (2, 1, "realtime"), (2, 2, "asap")):
        monkeypatch.setenv("OUT", str(tmp_path / f"{workers}{threads}{pace}"))
        overrides = [
            f"stages.detect.workers={workers}",
            f"engines.det0.threads={threads}",
            f"cameras[0].pace={pace}",
            "cameras[0].end_s=2",
        ]
        config = pipeline.load(CONFIGS / "yolox_nano_tud.yaml", overrides)
        pipeline.run(pipeline.build(config))
        results.add((tmp_path / f"{workers}{threads}{pace}" / "tracks.jsonl").read_bytes())
    assert len(results) == 1
