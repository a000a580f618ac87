"""Encoded pictures decoded, by the first decoder that does it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from pipeline.errors import SourceError
from pipeline.media.decoders import SOFTWARE, HardwareError, accelerator, require

# Pictures before the first key picture, too: who gets them is told.
_OUTPUT_CORRUPT = int(Flags.output_corrupt)
_log = logging.getLogger(__name__)


class Decoder:
    """Decodes one stream.

    No picture is held back: threads share a picture instead of taking one each.

    Args:
        codec: FFmpeg's name, such as ``"hevc"``.
        extradata: parameter sets from the description; may be empty.
        names: decoders in the order of preference, see `pipeline.media.decoders`.
        threads: 0: all cores.
        faults: counts decoders that were passed over.

    Raises:
        SourceError: none of them is there.
    """

    def __init__(
        self,
        codec: str,
        extradata: bytes,
        names: Sequence[str],
        threads: int,
        faults: Counter[str],
    ) -> None:
        self._codec, self._extradata, self._threads = codec, extradata, threads
        self._names = list(names)
        self._refused: list[str] = []
        self._faults = faults
        self._proved = False
        self._context = self._next()

    @property
    def how(self) -> str:
        """What decodes, for the report."""
        instead = f", not on {'; '.join(self._refused)}" if self._refused else ""
        threads = "1 thread" if self._threads == 1 else f"{self._threads or 'all'} threads"
        place = f", {threads}" if self._name == SOFTWARE else f" on {self._name}"
        return f"pyav {self._codec}{place}{instead}"

    def decode(self, data: bytes, number: int) -> list[av.VideoFrame]:
        """The frames that are ready when this picture was given.

        Args:
            data: one encoded picture.
            number: of the picture, rising; its frame has it as `pts`.

        Raises:
            av.FFmpegError: it cannot be decoded.
        """
        packet = av.Packet(data)
        packet.pts = packet.dts = number
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError as error:
            if self._proved or self._name == SOFTWARE or not self._names:
                raise
            self._refuse(str(error.strerror))
            self._context = self._next()
            return []
        self._proved |= bool(frames)
        return frames

    def _next(self) -> VideoCodecContext:
        while self._names:
            self._name = self._names.pop(0)
            try:
                return self._made()
            except HardwareError as error:
                self._refuse(str(error))
        raise SourceError(
            f"no decoder: {'; '.join(self._refused)}; write software behind it under decoder: to "
            "go on without the hardware"
        )

    def _made(self) -> VideoCodecContext:
        require(self._name)
        try:
            context = av.CodecContext.create(self._codec, "r", accelerator(self._name))
        except (RuntimeError, ValueError, av.FFmpegError):
            raise HardwareError(f"it does not decode {self._codec}") from None
        if not isinstance(context, VideoCodecContext):
            raise HardwareError(f"{self._codec} is no video")
        if self._name != SOFTWARE and not context.is_hwaccel:
            raise HardwareError(f"it does not decode {self._codec}")
        if self._extradata:
            context.extradata = self._extradata
        context.thread_count, context.thread_type = self._threads, "SLICE"
        context.flags |= _OUTPUT_CORRUPT
        return context

    def _refuse(self, reason: str) -> None:
        self._refused.append(f"{self._name}: {reason}")
        self._faults["decoder_fallback"] += 1
        _log.warning("decoder %s: %s", self._name, reason)
