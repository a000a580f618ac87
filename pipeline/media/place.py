"""Where in a video file one may begin, and what its packets say of its frames."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from pipeline.media.container import Address, open_container
from pipeline.media.timeline import NS_PER_S

#: In place of a time stamp: there is none.
NO_TIME = -(1 << 63)


@dataclass(frozen=True, slots=True)
class Place:
    """A key frame of a file: decoding may begin there, and numbers and times are the file's.

    Attributes:
        packets: of the video before it, in the order of the file.
        index: frames before it, in the order of showing. More than `packets` where frames that
            are shown before it come after it in the file.
        pts: its time stamp, in units of the stream's time base; the decoding time where it has no
            other.
        origin: time stamp of the file's first frame, which is 0 ns.
        dts: its decoding time, by which it is sought; None: it is found by counting from the
            file's beginning.
    """

    packets: int
    index: int
    pts: int
    origin: int
    dts: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Packets:
    """What the packets of a video stream say, in the order of the file; n of them.

    Attributes:
        pts: (n,) int64 presentation times in units of `time_base`, or `NO_TIME`.
        dts: (n,) int64 decoding times, likewise.
        key: (n,) bool, key frames.
        shown: (n,) bool; False for those that only help others, in front of an edit list's start.
        time_base: seconds per unit.
        error: why reading ended before the file's end; empty where it did not.
    """

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    key: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    time_base: Fraction
    error: str = ""


def list_packets(address: Address) -> Packets:
    """Reads a file once, from beginning to end; nothing is decoded, nothing of it is kept.

    Takes 18 bytes of memory for a frame.

    Raises:
        SourceError: it cannot be opened, or has no video.
    """
    pts, dts, key, shown = array("q"), array("q"), array("b"), array("b")
    error = ""
    container, stream = open_container(address, threads=1)
    with container:
        try:
            for packet in container.demux(stream):
                if packet.size:
                    pts.append(NO_TIME if packet.pts is None else packet.pts)
                    dts.append(NO_TIME if packet.dts is None else packet.dts)
                    key.append(packet.is_keyframe)
                    shown.append(not packet.is_discard)
        except av.FFmpegError as failure:
            error = str(failure.strerror)
        time_base = stream.time_base or Fraction(1)
    return Packets(
        np.frombuffer(pts, np.int64),
        np.frombuffer(dts, np.int64),
        np.frombuffer(key, np.bool_),
        np.frombuffer(shown, np.bool_),
        time_base,
        error,
    )


def place_before(address: Address, start_ns: int) -> Place | None:
    """The last key frame at or before `start_ns`, found by counting; None: the file's beginning.

    Reads from the beginning with the memory of two packets; only the first frame is decoded, and
    the key frame, since what a file calls so may need what is before it all the same.

    Args:
        start_ns: since the first frame.
    """
    origin = _first_time_stamp(address) if start_ns > 0 else None
    if origin is None:
        return None
    container, stream = open_container(address, threads=1)
    with container:
        unit_ns = (stream.time_base or 0) * NS_PER_S
        found: Place | None = None
        key, shown = None, 0
        for number, packet in enumerate(container.demux(stream)):
            if packet.pts is not None:
                if packet.is_keyframe and round((packet.pts - origin) * unit_ns) <= start_ns:
                    found, key = Place(number, shown, packet.pts, origin), packet
                elif found is not None and packet.pts < found.pts:
                    found = replace(found, index=found.index + 1)
                elif packet.dts is not None and (packet.dts - origin) * unit_ns > start_ns:
                    break
            shown += not packet.is_discard and (packet.pts is None or packet.pts >= origin)
        begins = found is not None and found.packets and key is not None and _stands(stream, key)
        return found if begins else None


def _stands(stream: VideoStream, key: av.Packet[VideoStream]) -> bool:
    """Whether it can be decoded without anything else."""
    try:
        frames = stream.decode(key) + stream.decode(None)
    except av.FFmpegError:
        return False
    return any(frame.pts == key.pts and not frame.is_corrupt for frame in frames)


def _first_time_stamp(address: Address) -> int | None:
    """That of the first frame that can be decoded; None where it has none."""
    container, stream = open_container(address, threads=1)
    with container:
        for packet in container.demux(stream):
            try:
                frames = stream.decode(packet)
            except av.FFmpegError:
                continue
            if frames:
                return frames[0].pts
    return None
