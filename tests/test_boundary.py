from __future__ import annotations

import pytest

from engines.traffic import Traffic, Work
from pipeline.boundary import Boundary

TRAFFIC = Traffic(
    forwards=4,
    run_ns=40_000_000,
    bytes_in=8_000,
    bytes_out=100,
    quantised=Work(32_000, 2_000_000),
    dequantised=Work(100, 400_000),
    copied_in=Work(8_000, 800_000),
    copied_out=Work(300, 80_000),
)


def test_a_line_is_a_mean_over_the_frames_and_not_over_the_forwards() -> None:
    line = Boundary.of("detect", "npu0", TRAFFIC, 8, 1.5)
    assert (line.stage, line.engine, line.frames, line.forwards) == ("detect", "npu0", 8, 4)
    assert (line.bytes_in, line.bytes_out, line.bytes_copied) == (1000, 12.5, 1037.5)
    assert (line.quantise_ms, line.dequantise_ms) == pytest.approx((0.25, 0.05))
    assert (line.copy_in_ms, line.copy_out_ms) == pytest.approx((0.1, 0.01))
    assert (line.run_ms, line.wait_ms) == (5, 1.5)


def test_before_the_first_frame_is_done_there_is_a_line_already() -> None:
    assert Boundary.of("detect", "npu0", TRAFFIC, 0, 0.0).bytes_in == 8_000
