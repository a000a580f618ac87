"""The frames of a segment: what both halves read of a clip, and so the same for both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.batch.clip import Clip, Segment
from pipeline.config import BatchRunConfig
from pipeline.media.sampling import FrameSampler
from pipeline.media.source import Source, SourceFrame
from pipeline.media.sources import SourceOptions, open_source
from pipeline.media.timeline import NS_PER_S


class Footage:
    """The frames that are looked at in one segment, decoded as they are asked for.

    Attributes:
        decoder: what decodes and how, for people; empty before the first frame.
        faults: of the source, once the frames have ended; see `Source.faults`.

    Args:
        clip: that the segment is of.
        segment: what to read.
        options: which frames, and with which decoder.
    """

    def __init__(self, clip: Clip, segment: Segment, options: BatchRunConfig) -> None:
        self.decoder = ""
        self.faults: Mapping[str, int] = {}
        self._clip, self._segment, self._options = clip, segment, options

    def frames(self) -> Iterator[SourceFrame]:
        """The frames, from the first one on; once.

        Raises:
            SourceError: the segment cannot be read.
        """
        sampler = FrameSampler(every=self._options.every)
        source = self._source()
        try:
            self.decoder = source.open().decoder
            for frame in source.frames():
                if sampler.take(frame.index, frame.pts_ns):
                    yield frame
        finally:
            self.faults = source.faults
            source.close()

    def _source(self) -> Source:
        segment, options = self._segment, self._options
        end_s = None if segment.end_ns is None else segment.end_ns / NS_PER_S
        return open_source(
            self._clip.uri,
            SourceOptions(
                decoders=options.decoder, start_s=segment.start_ns / NS_PER_S, end_s=end_s
            ),
        )
