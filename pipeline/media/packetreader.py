"""The packets of a video stream, from its beginning or from a key frame on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import TypeAlias

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.errors import SourceError
from pipeline.media.place import Place

Packet: TypeAlias = "av.Packet[VideoStream]"
# A seek may land behind its target where a container has no index; then it is aimed before it.
_BACK_S = (0, 2, 20)


class PacketReader:
    """Reads the packets of one stream, once.

    Args:
        name: of the file, for people.
        container: open.
        stream: one of its own.
        faults: counts ``read_error``.
        interrupted: ends the reading when set. It is looked at before each read: once closed,
            PyAV's objects must not be touched any more.

    Attributes:
        read: packets of the file up to here, with those that were skipped.
        keys: key frames among those that were read.
    """

    def __init__(
        self,
        name: str,
        container: InputContainer,
        stream: VideoStream,
        faults: Counter[str],
        interrupted: threading.Event,
    ) -> None:
        self._name = name
        self._container = container
        self._stream = stream
        self._faults = faults
        self._interrupted = interrupted
        self.read = self.keys = 0

    def packets(self, begin: Place | None = None) -> Iterator[Packet | None]:
        """The packets from a place on, and None at the end, upon which a decoder gives its rest.

        Raises:
            SourceError: the file has no such key frame.
        """
        if begin is None:
            return self._rest()
        if begin.dts is None:
            return islice(self._rest(), begin.packets, None)
        return self._sought(begin, begin.dts)

    def _rest(self) -> Iterator[Packet | None]:
        packets = self._container.demux(self._stream)
        while not self._interrupted.is_set():
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                packet = None
                self._faults["read_error"] += 1
            if packet is None or not packet.size:
                yield None
                return
            self.read += 1
            self.keys += packet.is_keyframe
            yield packet

    def _sought(self, place: Place, dts: int) -> Iterator[Packet | None]:
        units_per_s = 1 / (self._stream.time_base or 1)
        for back_s in _BACK_S:
            self._container.seek(dts - round(back_s * units_per_s), stream=self._stream)
            for packet in self._rest():
                if packet is None or (packet.dts is not None and packet.dts > dts):
                    break
                stamp = packet.dts if packet.pts is None else packet.pts
                if stamp == place.pts and packet.is_keyframe:
                    self.read = place.packets + 1
                    yield packet
                    yield from self._rest()
                    return
        if not self._interrupted.is_set():
            raise SourceError(
                f"{self._name}: the key frame at frame {place.index} cannot be found; if the file "
                "was changed meanwhile, begin again"
            )
