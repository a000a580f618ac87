"""What the border between a stage and an engine costs, a frame."""

from __future__ import annotations

from dataclasses import dataclass

from engines.traffic import Traffic


@dataclass(frozen=True)
class Boundary:
    """One stage on one engine; bytes and milliseconds are means over all frames of the stage.

    So the lines of a stage that moved from engine to engine add up to what the stage costs, and
    only the wait is the same in each.

    Attributes:
        stage: the stage's name.
        engine: its id in the configuration.
        frames: packets the stage worked on, on whichever engine.
        forwards: of this engine that gave a result; not one a frame where frames share a batch, or
            where a frame's crops need several.
        bytes_in: given to the engine, as it takes them: of int8, one byte a number.
        bytes_out: taken from it, as it gives them.
        bytes_copied: on the way in and out; a tensor copied twice counts twice.
        quantise_ms: real numbers made integers on the way in.
        dequantise_ms: integers made real numbers on the way out.
        copy_in_ms: copies on the way in.
        copy_out_ms: copies on the way out.
        run_ms: the engine's own work, the conversions and copies above not counted.
        wait_ms: of a packet in the queue before the stage.
    """

    stage: str
    engine: str
    frames: int
    forwards: int
    bytes_in: float
    bytes_out: float
    bytes_copied: float
    quantise_ms: float
    dequantise_ms: float
    copy_in_ms: float
    copy_out_ms: float
    run_ms: float
    wait_ms: float

    @staticmethod
    def of(stage: str, engine: str, traffic: Traffic, frames: int, wait_ms: float) -> Boundary:
        """The counts of all workers of one stage, spread over its frames."""
        count = max(frames, 1)
        ms = 1e6 * count
        return Boundary(
            stage,
            engine,
            frames,
            traffic.forwards,
            traffic.bytes_in / count,
            traffic.bytes_out / count,
            (traffic.copied_in.bytes + traffic.copied_out.bytes) / count,
            traffic.quantised.ns / ms,
            traffic.dequantised.ns / ms,
            traffic.copied_in.ns / ms,
            traffic.copied_out.ns / ms,
            traffic.run_ns / ms,
            wait_ms,
        )
