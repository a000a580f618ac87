"""The calls that engines are measured against do what engines do, and no less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.engine import FLOAT, RAW, SHAPE, in_own_format, relays_network
from engines.registry import engine_class


@pytest.mark.parametrize("outputs", [1, 6])
@pytest.mark.parametrize("backend", RAW)
def test_outputs_are_right_and_stay_the_callers(backend: str, outputs: int, tmp_path: Path) -> None:
    if missing := engine_class(backend).describe().missing:
        pytest.skip(missing)
    network = in_own_format(backend, relays_network(tmp_path, outputs), tmp_path)
    pictures = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(FLOAT)
    expected = np.maximum(pictures, 0)
    for library in RAW[backend]:
        run = library(network)
        found = [run(picture.copy()) for picture in pictures]
        for results, wanted in zip(found, expected, strict=True):
            assert len(results) == outputs
            for result in results:
                np.testing.assert_array_equal(result, wanted)
