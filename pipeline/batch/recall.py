"""What takes the place of the first half where a clip is followed: its frames, and its results."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pipeline.batch.clip import Clip, Segment
from pipeline.batch.footage import Footage
from pipeline.batch.seen import SeenSegment
from pipeline.config import BatchRunConfig
from pipeline.errors import DataError, PacketError, SourceError
from pipeline.graph import SOURCES
from pipeline.media.source import Source, SourceFrame, SourceInfo
from pipeline.packet import Packet, Status
from pipeline.payloads import Decoded, Detected
from pipeline.stage import Stage


class Ready:
    """Which segments were seen; told by one thread, waited for by another."""

    def __init__(self) -> None:
        self._told: set[tuple[str, int]] = set()
        self._changed = threading.Condition()

    def tell(self, clip: str, segment: int) -> None:
        """This one was."""
        with self._changed:
            self._told.add((clip, segment))
            self._changed.notify_all()

    def wait(self, clip: str, segment: int, given_up: threading.Event) -> None:
        """Waits until it was, or the wait was given up and `wake` called."""
        with self._changed:
            self._changed.wait_for(lambda: (clip, segment) in self._told or given_up.is_set())

    def wake(self) -> None:
        """Who waits looks whether that was given up."""
        with self._changed:
            self._changed.notify_all()

    def forget(self, clip: str) -> None:
        """Nobody will wait for this clip any more."""
        with self._changed:
            self._told = {entry for entry in self._told if entry[0] != clip}


class SeenSource(Source):
    """The frames of a clip that were seen, segment by segment as they are ready.

    Args:
        clip: whose frames.
        folder: with what was seen of it.
        ready: says which segments are.
        options: which frames were taken, and with which decoder.
        looks: whether the pictures are needed, and so decoded once more; else frames have none.
    """

    def __init__(
        self, clip: Clip, folder: Path, ready: Ready, options: BatchRunConfig, looks: bool
    ) -> None:
        super().__init__()
        self._clip, self._folder, self._ready = clip, folder, ready
        self._options, self._looks = options, looks
        self._interrupted = threading.Event()

    def open(self) -> SourceInfo:
        clip = self._clip
        decoder = "decoded again" if self._looks else "not decoded again"
        return SourceInfo(
            clip.width,
            clip.height,
            clip.fps,
            clip.frames,
            clip.duration_ns,
            clip.codec,
            self.live,
            decoder,
        )

    def frames(self) -> Iterator[SourceFrame]:
        for segment in self._clip.segments:
            self._ready.wait(self._clip.name, segment.number, self._interrupted)
            if self._interrupted.is_set():
                return
            seen = SeenSegment(self._folder, self._clip.name, segment.number).packets(SOURCES)
            yield from self._decoded(segment, seen) if self._looks else map(_frame, seen)

    def _decoded(self, segment: Segment, seen: Iterator[Packet[Decoded]]) -> Iterator[SourceFrame]:
        """The same frames with their pictures. Raises `SourceError` where they are others."""
        decoded = Footage(self._clip, segment, self._options).frames()
        for packet in seen:
            frame, header = next(decoded, None), packet.frame
            if frame is None or (frame.index, frame.pts_ns) != (header.index, header.pts_ns):
                raise SourceError(
                    f"{self._clip.uri}: decoded again, frame {header.index} is not what it was; "
                    "see that nobody writes to the file, or use `decoder: [software]`"
                )
            yield frame

    def close(self) -> None:
        pass  # what is read is closed by who reads it

    def interrupt(self) -> None:
        self._interrupted.set()
        self._ready.wake()


def _frame(packet: Packet[Decoded]) -> SourceFrame:
    header = packet.frame
    damaged = packet.reason if packet.status is Status.DAMAGED else ""
    return SourceFrame(header.index, header.pts_ns, packet.payload.picture, header.epoch, damaged)


class RecallStage(Stage[Decoded, Detected]):
    """Gives what was found in each frame, in place of the stages that found it.

    Args:
        clip: whose frames come.
        folder: with what was seen of it.
        at: the boundary whose results are given.
    """

    consumes = Decoded
    produces = Detected
    per_camera = True

    def __init__(self, clip: Clip, folder: Path, at: str) -> None:
        self._clip, self._folder, self._at = clip.name, folder, at
        self._segments = iter(clip.segments)
        self._left = 0  # frames of the present segment
        self._dropped: Mapping[int, str] = {}
        self._found: Iterator[Packet[Detected]] = iter(())

    def process(self, packet: Packet[Decoded]) -> Iterable[Packet[Detected]]:
        while not self._left:
            self._begin(next(self._segments))
        self._left -= 1
        pts_ns = packet.frame.pts_ns
        if pts_ns in self._dropped:
            raise PacketError(self._dropped[pts_ns])
        found = next(self._found, None)
        if found is None or found.frame.pts_ns != pts_ns:
            index = packet.frame.index
            raise DataError(f"{self._folder}: nothing was kept of frame {index} at {self._at}")
        payload = replace(found.payload, picture=packet.payload.picture)
        return (replace(found, frame=packet.frame, payload=payload, ticket=packet.ticket),)

    def _begin(self, segment: Segment) -> None:
        """Goes on to the next segment, which is there, as a frame of it is."""
        kept = SeenSegment(self._folder, self._clip, segment.number)
        self._left, self._dropped = kept.marker.seen.frames, kept.marker.dropped
        self._found = kept.packets(self._at)
