"""How a batch opens its videos, and pieces of them."""

from __future__ import annotations

from dataclasses import replace

from pipeline.batch.clip import Segment
from pipeline.config import BatchRunConfig
from pipeline.media.sources import SourceOptions
from pipeline.media.timeline import NS_PER_S


def source_options(options: BatchRunConfig, segment: Segment | None = None) -> SourceOptions:
    """How a batch opens its videos: from the first frame on, or a piece of one."""
    every = SourceOptions(decoders=options.decoder, key_frames=options.key_frames)
    if segment is None:
        return every
    # Up to 11 days these seconds become the same nanoseconds again.
    end_s = None if segment.end_ns is None else segment.end_ns / NS_PER_S
    return replace(every, start_s=segment.start_ns / NS_PER_S, end_s=end_s, begin=segment.begin)
