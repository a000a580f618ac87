"""A source that PyAV decodes: a video file, here or on a server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain, islice

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.errors import SourceError
from pipeline.media.avpicture import PictureMaker
from pipeline.media.container import Address, Entry, find_entry, open_container
from pipeline.media.decoders import SOFTWARE, HardwareError, accelerator, require
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
    """

    def __init__(
        self,
        address: Address,
        *,
        threads: int = 1,
        start_s: float = 0.0,
        end_s: float | None = None,
        decoders: Sequence[str] = (SOFTWARE,),
    ) -> None:
        super().__init__()
        self._address = address
        self._threads = threads
        self._start_ns = round(start_s * NS_PER_S)
        self._end_ns = None if end_s is None else round(end_s * NS_PER_S)
        self._decoders = tuple(decoders)
        self._refused: list[str] = []  # decoders that were passed over, and why
        self._interrupted = threading.Event()
        self._container: InputContainer | None = None
        self._packets_read = 0
        self._frames: Iterator[SourceFrame] = iter(())

    def open(self) -> SourceInfo:
        entry = find_entry(self._address, self._start_ns)
        for decoder in self._decoders:
            try:
                return self._open(decoder, entry)
            except HardwareError as error:
                self._refuse(decoder, error)
        self.close()
        raise SourceError(
            f"{self._address.name}: no decoder: {'; '.join(self._refused)}; write software behind "
            "it under decoder: to go on without the hardware"
        )

    def _open(self, decoder: str, entry: Entry) -> SourceInfo:
        require(decoder)
        self._container, stream = open_container(self._address, self._threads, accelerator(decoder))
        frames = self._decode(self._container, stream, entry)
        first = next(frames, None)
        if first is None and decoder != SOFTWARE:
            raise HardwareError(self._nothing())
        if first is None:
            self.close()
            raise SourceError(f"{self._address.name}: {self._nothing()}; {self._address.remedy}")
        # An iterator lets go of what it has given; a chain keeps its arguments to its end.
        self._frames = chain(iter((first,)), frames)
        return self._info(self._container, stream, first, decoder)

    def _refuse(self, decoder: str, error: HardwareError) -> None:
        """Goes back to before this decoder was tried, and says so."""
        self._refused.append(f"{decoder}: {error}")
        _log.warning("%s: decoder %s: %s", self._address.name, decoder, error)
        self._let_go()
        self._packets_read = 0
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
        self, container: InputContainer, stream: VideoStream, entry: Entry
    ) -> Iterator[SourceFrame]:
        """The frames that are wanted, with what is known about each."""
        rate = stream.average_rate or stream.guessed_rate or _DEFAULT_RATE
        interval_ns = round(NS_PER_S / rate)
        base = stream.time_base or 1 / rate
        timeline = TimeLine(base, interval_ns, self._faults, entry.origin)
        # What is shown before the first key frame refers to frames that were left out.
        suspicion = Suspicion(self._faults, "entered in the midst" if entry.packets else "")
        maker = PictureMaker()
        size = None
        end_ns, index = 0, entry.frames
        for frame in self._av_frames(container, stream, entry.packets, suspicion):
            pts_ns = timeline.place(frame.pts, frame.dts)
            end_ns = pts_ns + interval_ns
            if self._end_ns is not None and pts_ns >= self._end_ns:
                return
            damaged = suspicion.judge(frame)
            if size not in (None, (frame.width, frame.height)):
                self._faults["size_changed"] += 1
            size = frame.width, frame.height
            if pts_ns >= self._start_ns:
                yield SourceFrame(index, pts_ns, maker.picture(frame), timeline.epoch, damaged)
            elif entry.packets:
                continue  # it is counted in the entry, and so are those the decoder leaves out here
            index += 1
        self._check_complete(container, stream, end_ns)

    def _av_frames(
        self, container: InputContainer, stream: VideoStream, skip: int, suspicion: Suspicion
    ) -> Iterator[av.VideoFrame]:
        """The decoder's frames; what it cannot decode is counted and left out."""
        for packet in islice(self._packets(container, stream), skip, None):
            if packet is not None and packet.is_corrupt:
                suspicion.packet_lost("corrupt_packet", packet.pts)
            try:
                yield from stream.decode(packet)
            except av.FFmpegError:
                suspicion.packet_lost("decode_error", None if packet is None else packet.pts)

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[av.Packet[VideoStream] | None]:
        """The packets of the file, and None at its end, upon which the decoder gives its rest."""
        packets = container.demux(stream)
        while True:
            # Looked at first: once closed, PyAV's objects must not be touched any more.
            if self._interrupted.is_set():
                return
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                packet = None
                self._faults["read_error"] += 1
            if packet is None or not packet.size:
                break
            self._packets_read += 1
            yield packet
        yield None

    def _check_complete(self, container: InputContainer, stream: VideoStream, end_ns: int) -> None:
        """Counts a file that ended before what its header says."""
        if self._interrupted.is_set():
            return
        duration_ns = _duration_ns(container, stream)
        if stream.frames:
            short = self._packets_read < stream.frames
        else:
            # Durations are rough: the last frame may be shown for longer than the others.
            short = duration_ns is not None and end_ns + NS_PER_S // 2 < duration_ns
        if short:
            self._faults["truncated"] += 1


def _duration_ns(container: InputContainer, stream: VideoStream) -> int | None:
    if stream.duration is not None and stream.time_base is not None:
        return round(stream.duration * stream.time_base * NS_PER_S)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration * (NS_PER_S // av.time_base)
    return None
