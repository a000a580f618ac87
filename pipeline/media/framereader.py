"""From packets to decoded frames with their places in the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import av
from av.video.stream import VideoStream

from pipeline.media.packetreader import Packet
from pipeline.media.place import Place
from pipeline.media.suspicion import Suspicion

# Packets that show whether a file has presentation times.
_ENOUGH = 16


def all_frames(
    packets: Iterable[Packet | None],
    stream: VideoStream,
    suspicion: Suspicion,
    begin: Place | None = None,
) -> Iterator[tuple[int, av.VideoFrame]]:
    """The decoder's frames and their places; the place of one that it cannot decode stays empty.

    Args:
        packets: of the stream, from `begin` on, and None at the end.
        stream: what decodes.
        suspicion: is told of what was lost.
        begin: frames that come after it in the file but are shown before it need what is before
            it to be decoded, so they are left out; None: the file's beginning.
    """
    places = _Places(0 if begin is None else begin.index)
    for packet in packets:
        if packet is not None and packet.is_corrupt:
            suspicion.packet_lost("corrupt_packet", packet.pts)
        try:
            for frame in stream.decode(packet):
                if not _is_before(frame.pts, begin):
                    yield places.of(frame.pts), frame
        except av.FFmpegError:
            pts = None if packet is None else packet.pts
            if not _is_before(pts, begin):
                suspicion.packet_lost("decode_error", pts)
                if packet is not None:
                    places.lose(pts)


class _Places:
    """Counts frames, and those that are lost where they would have come."""

    def __init__(self, first: int) -> None:
        self._next = first
        self._lost: list[int] = []  # time stamps; earlier frames may still be in the decoder

    def lose(self, pts: int | None) -> None:
        if pts is None:
            self._next += 1
        else:
            self._lost.append(pts)

    def of(self, pts: int | None) -> int:
        later = [lost for lost in self._lost if pts is not None and lost > pts]
        self._next += len(self._lost) - len(later) + 1
        self._lost = later
        return self._next - 1


def key_frames(
    packets: Iterable[Packet | None],
    stream: VideoStream,
    suspicion: Suspicion,
    begin: Place | None = None,
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Key frames and their places; nothing else is decoded.

    Where packets have no presentation times (AVI, MPEG program streams), only the decoder knows
    what is shown before a key frame, so there everything is decoded.

    Args:
        packets: as for `all_frames`.
        stream: likewise.
        suspicion: likewise.
        begin: likewise.
    """
    packets = iter(packets)
    head = list(islice(packets, _ENOUGH))
    packets = chain(head, packets)
    if any(packet.pts is None for packet in head if packet is not None):
        frames_of_all = all_frames(packets, stream, suspicion, begin)
        yield from ((index, frame) for index, frame in frames_of_all if frame.key_frame)
        return
    for index, packet in _keys(packets, begin):
        if packet.is_corrupt:
            suspicion.packet_lost("corrupt_packet", packet.pts)
        try:
            # The decoder would keep it until later ones come: so it is told that there are none.
            frames = stream.decode(packet) + stream.decode(None)
        except av.FFmpegError:
            suspicion.packet_lost("decode_error", packet.pts)
            frames = []
        stream.codec_context.flush_buffers()
        for frame in frames:
            yield index, frame


def _keys(packets: Iterable[Packet | None], begin: Place | None) -> Iterator[tuple[int, Packet]]:
    """Each key frame and its place, which is known when the next one comes."""
    key: Packet | None = None
    before = 0  # frames before the key frame, in the order of showing
    count = 0 if begin is None else begin.index
    for packet in packets:
        if packet is not None and _is_before(packet.pts, begin):
            continue
        if packet is None or packet.is_keyframe:
            if key is not None:
                yield before, key
            key, before = packet, count
        elif key is not None and _is_earlier(packet.pts, key.pts):
            before += 1
        count += packet is not None and not packet.is_discard


def _is_before(pts: int | None, place: Place | None) -> bool:
    return place is not None and _is_earlier(pts, place.pts)


def _is_earlier(pts: int | None, other: int | None) -> bool:
    return pts is not None and other is not None and pts < other
