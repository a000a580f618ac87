"""Two programs side by side: the statistics by hand, and a real difference that is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from engines.measure import Subject
from engines.paired import pair, summed
from tests.engines.convert.networks import save


def test_the_median_of_the_ratios_counts() -> None:
    """Load that hits both alike changes the times, and not the ratio."""
    load = [1.0, 5.0, 1.0, 2.0, 1.0]
    found = summed([(0.002 * k, 0.001 * k) for k in load])
    assert (found.speedup, found.low, found.high) == (2, 2, 2)
    assert (found.before_ms, found.after_ms) == (pytest.approx(2), pytest.approx(1))
    assert found.turns == 5


def test_the_interval_is_that_of_the_median() -> None:
    """By the theorem's ranks: of 10 values the first and the last, of 100 the 37th and the 64th."""
    ten = summed([(float(n), 1.0) for n in range(1, 11)])
    assert (ten.low, ten.speedup, ten.high) == (1, 5.5, 10)
    hundred = summed([(float(n), 1.0) for n in range(1, 101)])
    assert (hundred.low, hundred.speedup, hundred.high) == (37, 50.5, 64)


def test_the_interval_holds_the_true_median_99_times_of_100() -> None:
    chance = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        found = summed([(float(x), 1.0) for x in chance.lognormal(size=30)])
        inside += found.low <= 1 <= found.high
    assert inside >= 0.98 * 400


def test_more_work_is_slower(tmp_path: Path) -> None:
    subjects = []
    for size in (256, 8):
        weights = {"w": np.ones((size, 16, 3, 3), np.float32)}
        node = helper.make_node("Conv", ["x", "w"], ["y"])
        network = save(
            tmp_path / f"{size}.onnx", [node], {"x": [1, 16, 32, 32]}, {"y": None}, weights
        )
        subjects.append(Subject("onnxruntime", network))
    found = pair(*subjects, {"x": np.ones((1, 16, 32, 32), np.float32)}, seconds=0.0)
    assert found.low > 1
    assert found.before_ms > found.after_ms > 0
