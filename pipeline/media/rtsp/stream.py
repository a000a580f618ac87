"""A camera's video from packets to shots."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence

import av

from pipeline.errors import SourceError
from pipeline.media.avpicture import PictureMaker
from pipeline.media.connection import Coding, Shot
from pipeline.media.rtsp.decoding import Decoder
from pipeline.media.rtsp.description import Offer
from pipeline.media.rtsp.jpeg import Jpeg
from pipeline.media.rtsp.packets import RtpPacket, Sequencer, parse
from pipeline.media.rtsp.payload import H264, H265, AccessUnit, Assembler, Mpeg4
from pipeline.media.rtsp.reports import RtpClock, read_reports
from pipeline.media.suspicion import Suspicion

#: What may come from a network: common, maintained decoders, no exotic ones. By the name in SDP.
ASSEMBLERS: dict[str, Callable[[Offer], Assembler]] = {
    "H264": H264,
    "H265": H265,
    "JPEG": Jpeg,
    "MP4V-ES": Mpeg4,
}
_HELD = 64  # pictures that a decoder may have taken and not given yet


class Stream:
    """Takes packets in and gives shots.

    Args:
        offer: what the camera offers; its encoding is one of `ASSEMBLERS`.
        decoders: in the order of preference.
        threads: of the decoder.
        hold_ns: how long packets wait for one that was sent before them.
        faults: counts what is missing or damaged.

    Attributes:
        packets: how many have come.
        pictures: how many were decoded.

    Raises:
        SourceError: nothing decodes it.
    """

    def __init__(
        self,
        offer: Offer,
        decoders: Sequence[str],
        threads: int,
        hold_ns: int,
        faults: Counter[str],
    ) -> None:
        self.packets = self.pictures = 0
        self._offer, self._faults = offer, faults
        self._sequencer = Sequencer(hold_ns)
        self._assembler = ASSEMBLERS[offer.encoding](offer)
        self._decoder = Decoder(
            self._assembler.codec, self._assembler.extradata, decoders, threads, faults
        )
        self._coding = Coding(self._assembler.codec, self._decoder.how, offer.fps)
        self._clock, self._clock_of = RtpClock(offer.clock_hz), -1
        self._suspicion = Suspicion(faults, "before_key_frame")
        self._maker = PictureMaker()
        self._parameters = b""
        self._units = 0
        self._held: OrderedDict[int, tuple[int, str]] = OrderedDict()

    def push(self, data: bytes, now_ns: int) -> Iterator[Shot]:
        """Takes an RTP packet in; gives what is decoded with it."""
        packet = parse(data)
        if packet is None or packet.payload_type != self._offer.payload_type:
            return
        self.packets += 1
        if packet.source != self._clock_of:
            self._clock, self._clock_of = RtpClock(self._offer.clock_hz), packet.source
        yield from self._ordered(self._sequencer.push(packet, now_ns), now_ns)

    def due(self, now_ns: int) -> Iterator[Shot]:
        """What is decoded because missing packets are not waited for any longer."""
        yield from self._ordered(self._sequencer.due(now_ns), now_ns)

    def report(self, data: bytes) -> None:
        """Takes an RTCP packet in.

        Raises:
            SourceError: the camera says goodbye.
        """
        report, goodbye = read_reports(data)
        if report is not None and report.source == self._clock_of:
            self._clock.report(report)
        if goodbye:
            raise SourceError("the camera said goodbye")

    def _ordered(self, packets: Iterator[tuple[RtpPacket, bool]], now_ns: int) -> Iterator[Shot]:
        lost = self._sequencer.lost
        for packet, gap in packets:
            if self._sequencer.lost > lost:
                self._faults["packets_lost"] += self._sequencer.lost - lost
                lost = self._sequencer.lost
            for unit in self._assembler.push(packet, gap):
                yield from self._decoded(unit, now_ns)

    def _decoded(self, unit: AccessUnit, now_ns: int) -> Iterator[Shot]:
        # Pictures are numbered for the decoder, since the camera's clock may jump.
        self._units += 1
        self._held[self._units] = self._clock.ticks(unit.timestamp), self._change(unit)
        if len(self._held) > _HELD:
            self._held.popitem(last=False)
        if unit.incomplete:
            self._suspicion.packet_lost("incomplete_picture", self._units)
        try:
            frames = self._decoder.decode(unit.data, self._units)
        except av.FFmpegError:
            self._suspicion.packet_lost("decode_error", self._units)
            return
        for frame in frames:
            yield self._shot(frame, now_ns)

    def _shot(self, frame: av.VideoFrame, now_ns: int) -> Shot:
        self.pictures += 1
        ticks, changed = self._held.pop(frame.pts or 0, (None, ""))
        damaged = self._suspicion.judge(frame)
        stamp_ns = None if ticks is None else self._clock.ns(ticks)
        utc_ns = None if ticks is None else self._clock.utc_ns(ticks)
        return Shot(
            self._maker.picture(frame), self._coding, now_ns, stamp_ns, damaged, utc_ns, changed
        )

    def _change(self, unit: AccessUnit) -> str:
        """The fault's name where the stream has other parameters from this picture on."""
        if not unit.parameters or unit.incomplete:
            return ""
        before, self._parameters = self._parameters, unit.parameters
        return "parameters_changed" if before not in (b"", unit.parameters) else ""
