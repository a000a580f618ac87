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
        pts = None if packet is None else packet.pts
        wanted = not _is_before(pts, begin)
        if packet is not None:
            if packet.is_corrupt:
                suspicion.packet_lost("corrupt_packet", pts)
            if wanted and not packet.is_discard:
                places.expect(pts)
        try:
            for frame in stream.decode(packet):
                if places.is_missed(frame.pts):
                    suspicion.came_late()
                elif not _is_before(frame.pts, begin):
                    yield places.of(frame.pts, suspicion.doubts), frame
        except av.FFmpegError:
            if wanted:
                suspicion.packet_lost("decode_error", pts)
                places.refuse(pts)


class _Places:
    """Counts frames from the first one on, and those that were lost between them.

    A decoder may say nothing of a packet that it cannot decode, but there are also packets without
    a frame of their own, such as the second field of a picture. So what did not come before a later
    frame is lost only where something is known to be wrong.
    """

    def __init__(self, first: int) -> None:
        self._next = first
        self._begun = False
        self._expected: list[int] = []  # time stamps of what the decoder was given
        self._missed: set[int] = set()

    def expect(self, pts: int | None) -> None:
        if pts is not None:
            self._expected.append(pts)

    def refuse(self, pts: int | None) -> None:
        """One was refused; with a time stamp it is missed when a later one comes."""
        self._next += pts is None and self._begun

    def is_missed(self, pts: int | None) -> bool:
        """Whether it was counted as lost: its moment is over."""
        return pts in self._missed

    def of(self, pts: int | None, doubtful: bool) -> int:
        """The place of the next frame.

        Args:
            pts: its time stamp.
            doubtful: something is known to be wrong.
        """
        if not doubtful:
            self._missed.clear()
        if pts is not None:
            if doubtful and self._begun:
                earlier = {expected for expected in self._expected if expected < pts}
                self._next += len(earlier)
                self._missed |= earlier
            self._expected = [expected for expected in self._expected if expected > pts]
        self._begun = True
        self._next += 1
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
        count += key is not None and packet is not None and not packet.is_discard


def _is_before(pts: int | None, place: Place | None) -> bool:
    return place is not None and _is_earlier(pts, place.pts)


def _is_earlier(pts: int | None, other: int | None) -> bool:
    return pts is not None and other is not None and pts < other
