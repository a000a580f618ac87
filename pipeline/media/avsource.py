"""A source that PyAV decodes: a video file, here or on a server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.errors import SourceError
from pipeline.media.avpicture import PictureMaker
from pipeline.media.container import Address, open_container
from pipeline.media.decoders import SOFTWARE, HardwareError, accelerator, require
from pipeline.media.framereader import all_frames, key_frames
from pipeline.media.packetreader import PacketReader
from pipeline.media.place import Place, place_before
from pipeline.media.source import Source, SourceFrame, SourceInfo
from pipeline.media.suspicion import Suspicion
from pipeline.media.timeline import NS_PER_S, TimeLine

_DEFAULT_RATE = Fraction(25)
_log = logging.getLogger(__name__)


class AvSource(Source):
    """Decodes one container from beginning to end.

    Args:
        address: what to open.
        threads: of the decoder. One is right where several stages share the cores; 0: all cores.
        start_s: first moment wanted, seconds since the first frame; `index` and `pts_ns` count
            from the first frame of the file all the same.
        end_s: first moment not wanted any more.
        decoders: ``software`` or hardware (`pipeline.media.decoders`), in the order of preference:
            where one is not there, or gives no first frame, the next is taken and a fault counted.
        key_frames: decode key frames only; they have the numbers and times they have in the file.
        begin: a key frame not after `start_s`, from which on the file is read; None: the last such
            one, which is looked for by reading the file up to there.

    Attributes:
        address: what is read.
        origin: time stamp of the first frame, in units of the stream's time base; None before
            there was one, and where the file has no time stamps.
    """

    def __init__(
        self,
        address: Address,
        *,
        threads: int = 1,
        start_s: float = 0.0,
        end_s: float | None = None,
        decoders: Sequence[str] = (SOFTWARE,),
        key_frames: bool = False,
        begin: Place | None = None,
    ) -> None:
        super().__init__()
        self.address = address
        self.origin: int | None = None
        self._threads = threads
        self._start_ns = round(start_s * NS_PER_S)
        self._end_ns = None if end_s is None else round(end_s * NS_PER_S)
        self._decoders = tuple(decoders)
        self._key_frames = key_frames
        self._begin = begin
        self._refused: list[str] = []  # decoders that were passed over, and why
        self._interrupted = threading.Event()
        self._container: InputContainer | None = None
        self._reader: PacketReader | None = None
        self._frames: Iterator[SourceFrame] = iter(())

    def open(self) -> SourceInfo:
        begin = self._begin or place_before(self.address, self._start_ns)
        for decoder in self._decoders:
            try:
                return self._open(decoder, begin)
            except HardwareError as error:
                self._refuse(decoder, error)
        self.close()
        raise SourceError(
            f"{self.address.name}: no decoder: {'; '.join(self._refused)}; write software behind "
            "it under decoder: to go on without the hardware"
        )

    def _open(self, decoder: str, begin: Place | None) -> SourceInfo:
        require(decoder)
        self._container, stream = open_container(self.address, self._threads, accelerator(decoder))
        frames = self._decode(self._container, stream, begin)
        first = next(frames, None)
        if first is None and decoder != SOFTWARE:
            raise HardwareError(self._nothing())
        if first is None:
            self.close()
            raise SourceError(f"{self.address.name}: {self._nothing()}; {self.address.remedy}")
        # An iterator lets go of what it has given; a chain keeps its arguments to its end.
        self._frames = chain(iter((first,)), frames)
        return self._info(self._container, stream, first, decoder)

    def _refuse(self, decoder: str, error: HardwareError) -> None:
        """Goes back to before this decoder was tried, and says so."""
        self._refused.append(f"{decoder}: {error}")
        _log.warning("%s: decoder %s: %s", self.address.name, decoder, error)
        self._let_go()
        self._faults.clear()
        self._faults["decoder_fallback"] = len(self._refused)

    def frames(self) -> Iterator[SourceFrame]:
        return self._frames

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self._interrupted.set()
        self._let_go()

    def _let_go(self) -> None:
        container, self._container = self._container, None
        self._frames = iter(())
        if container is not None:
            container.close()

    def _nothing(self) -> str:
        faults = ", ".join(f"{count} × {fault}" for fault, count in self._faults.items())
        start = f" from {self._start_ns / NS_PER_S:g} s on" if self._start_ns else ""
        if self._reader is not None and self._reader.read and not self._reader.keys:
            return f"no frame could be decoded: none of {self._reader.read} is a key frame"
        return f"no frame could be decoded{start} ({faults or 'there is none'})"

    def _info(
        self, container: InputContainer, stream: VideoStream, first: SourceFrame, decoder: str
    ) -> SourceInfo:
        rate = stream.average_rate or stream.guessed_rate
        threads = "1 thread" if self._threads == 1 else f"{self._threads or 'all'} threads"
        codec = stream.codec_context.name
        how = f"pyav {codec}, {threads}" if decoder == SOFTWARE else f"pyav {codec} on {decoder}"
        instead = f", not on {'; '.join(self._refused)}" if self._refused else ""
        return SourceInfo(
            first.picture.width,
            first.picture.height,
            float(rate) if rate else None,
            stream.frames or None,
            _duration_ns(container, stream),
            codec,
            self.live,
            how + instead,
        )

    def _decode(
        self, container: InputContainer, stream: VideoStream, begin: Place | None
    ) -> Iterator[SourceFrame]:
        """The frames that are wanted, with what is known about each."""
        rate = stream.average_rate or stream.guessed_rate or _DEFAULT_RATE
        interval_ns = round(NS_PER_S / rate)
        origin = None if begin is None else begin.origin
        timeline = TimeLine(stream.time_base or 1 / rate, interval_ns, self._faults, origin)
        suspicion = Suspicion(self._faults, "before_key_frame")
        maker = PictureMaker()
        self._reader = reader = PacketReader(
            self.address.name, container, stream, self._faults, self._interrupted
        )
        decode = key_frames if self._key_frames else all_frames
        size, last, end_ns = None, 0, 0
        for index, frame in decode(reader.packets(begin), stream, suspicion, begin):
            pts_ns = timeline.place(frame.pts, frame.dts, index - last)
            last, self.origin = index, timeline.origin
            end_ns = pts_ns + interval_ns
            if self._end_ns is not None and pts_ns >= self._end_ns:
                return
            damaged = suspicion.judge(frame)
            if size not in (None, (frame.width, frame.height)):
                self._faults["size_changed"] += 1
            size = frame.width, frame.height
            if pts_ns >= self._start_ns:
                yield SourceFrame(index, pts_ns, maker.picture(frame), timeline.epoch, damaged)
        self._check_complete(container, stream, reader.read, end_ns)

    def _check_complete(
        self, container: InputContainer, stream: VideoStream, packets: int, end_ns: int
    ) -> None:
        """Counts a file that ended before what its header says."""
        if self._interrupted.is_set():
            return
        duration_ns = _duration_ns(container, stream)
        if stream.frames:
            short = packets < stream.frames
        elif duration_ns is None or self._key_frames:
            short = False
        else:
            if self.origin is not None and stream.start_time is not None and stream.time_base:
                # Frames in front of the first one that could be decoded.
                end_ns += round((self.origin - stream.start_time) * stream.time_base * NS_PER_S)
            # Durations are rough: the last frame may be shown for longer than the others.
            short = end_ns + NS_PER_S // 2 < duration_ns
        if short:
            self._faults["truncated"] += 1


def _duration_ns(container: InputContainer, stream: VideoStream) -> int | None:
    if stream.duration is not None and stream.time_base is not None:
        return round(stream.duration * stream.time_base * NS_PER_S)
    if container.duration is not None and len(container.streams) == 1:
        # Matroska's counts from 0, whenever the first frame comes.
        start = max(container.start_time or 0, 0)
        return (container.duration - start) * (NS_PER_S // av.time_base)
    return None
