"""The frames of a segment: what both halves read of a clip, and so the same for both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.batch.clip import Clip, Segment
from pipeline.batch.opening import source_options
from pipeline.config import BatchRunConfig
from pipeline.media.sampling import FrameSampler
from pipeline.media.source import Source, SourceFrame
from pipeline.media.sources import open_source


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
        return open_source(self._clip.uri, source_options(self._options, self._segment))
