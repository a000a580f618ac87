"""A connection to a camera at this machine, which PyAV reads."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Generator, Iterator, Sequence

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.clock import Clock
from pipeline.errors import SourceError
from pipeline.media.avpicture import PictureMaker
from pipeline.media.connection import Coding, Connect, Shot
from pipeline.media.container import Address, open_container, reason_of
from pipeline.media.decoders import SOFTWARE, HardwareError, accelerator, require
from pipeline.media.suspicion import Suspicion
from pipeline.media.timeline import NS_PER_S

_log = logging.getLogger(__name__)


def device(address: Address, decoders: Sequence[str], clock: Clock) -> Connect:
    """How to connect to the camera at `address`.

    Args:
        address: a live one.
        decoders: in the order of preference, see `pipeline.media.decoders`.
        clock: for times of arrival.
    """

    def connect(faults: Counter[str]) -> Generator[Shot | None, None, None]:
        yield None  # so that nothing is opened before somebody asks for the first shot
        container, stream, decoder = _open(address, decoders, faults)
        with container:
            rate = stream.average_rate
            codec = stream.codec_context.name
            coding = Coding(codec, f"pyav {codec}, {decoder}", float(rate) if rate else None)
            suspicion, maker = Suspicion(faults), PictureMaker()
            unit_ns = (stream.time_base or 0) * NS_PER_S
            for frame in _frames(container, stream, suspicion, address):
                if frame is None:
                    yield None
                    continue
                stamp_ns = None if frame.pts is None else round(frame.pts * unit_ns)
                damaged = suspicion.judge(frame)
                yield Shot(maker.picture(frame), coding, clock.now_ns(), stamp_ns, damaged)

    return connect


def _open(
    address: Address, decoders: Sequence[str], faults: Counter[str]
) -> tuple[InputContainer, VideoStream, str]:
    refused = []
    for decoder in decoders:
        try:
            require(decoder)
            return *open_container(address, 1, accelerator(decoder)), decoder
        except HardwareError as error:
            refused.append(f"{decoder}: {error}")
            faults["decoder_fallback"] += decoder != decoders[-1]
    raise SourceError(
        f"{address.name}: no decoder: {'; '.join(refused)}; write {SOFTWARE} behind it under "
        "decoder: to go on without the hardware"
    )


def _frames(
    container: InputContainer, stream: VideoStream, suspicion: Suspicion, address: Address
) -> Iterator[av.VideoFrame | None]:
    """The decoder's frames, and None where the camera is silent."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except av.error.ExitError:
            yield None
            packets = container.demux(stream)
            continue
        except (av.FFmpegError, StopIteration) as error:
            reason = (
                "it gave no more pictures" if type(error) is StopIteration else reason_of(error)
            )
            break
        if packet.is_corrupt:
            suspicion.packet_lost("corrupt_packet", packet.pts)
        try:
            yield from stream.decode(packet)
        except av.FFmpegError:
            suspicion.packet_lost("decode_error", packet.pts)
    # Raised out here so that PyAV's error, whose text holds the address, is not chained.
    raise SourceError(f"{address.name}: {reason}; {address.remedy}")
