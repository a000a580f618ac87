"""The shipped two-stage detector, whose halves are packages of their own, on unseen streets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.resources import shipped
from pipeline.world import LABELS, SCENES, World
from training.evaluate import TwoStageDetector, average_precisions_of

FIRST, SECOND = "street-duo-rpn", "street-duo-head"


def test_the_two_stage_detector_finds_objects_of_unseen_worlds() -> None:
    detector = TwoStageDetector(shipped("models") / FIRST, shipped("models") / SECOND)
    worlds = [World(scene, 9500 + seed) for scene in SCENES for seed in range(4)]
    frames = (world.render(step) for world in worlds for step in (40, 260))
    by_name = average_precisions_of(detector, frames)
    assert by_name.keys() <= set(LABELS)
    assert np.mean(list(by_name.values())) >= 0.90


def test_both_halves_together_stay_small() -> None:
    folders = [shipped("models") / name for name in (FIRST, SECOND)]
    assert sum(weights(folder) for folder in folders) < 3_000_000


def weights(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.onnx"))
