"""What all sources of pictures have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from engines.isolation.restarts import Restart
from pipeline.media.picture import Picture


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known about a source once it is open.

    Attributes:
        width: of the first picture in pixels, after rotation; later ones may differ.
        height: of the first picture in pixels, after rotation.
        fps: nominal frame rate; None where unknown.
        frames: how many there will be; None where unknown.
        duration_ns: how long it will play; None where unknown.
        codec: such as ``"h264"``.
        live: True for a camera, which cannot be asked to wait.
        decoder: what decodes and how, for the report.
    """

    width: int
    height: int
    fps: float | None
    frames: int | None
    duration_ns: int | None
    codec: str
    live: bool
    decoder: str


class SourceState(StrEnum):
    """How a source is doing."""

    CONNECTING = "connecting"  # for the first time
    LIVE = "live"
    STALLED = "stalled"  # connected, but nothing comes
    FROZEN = "frozen"  # the same picture comes again and again
    RETRYING = "retrying"  # the connection was lost, or never was there
    PAUSED = "paused"  # on purpose, and not connected
    ENDED = "ended"  # as a file does


@dataclass(frozen=True, slots=True)
class Condition:
    """How a source is doing, and why.

    Attributes:
        state: now.
        reason: why it is not `LIVE`, in a few words, without secrets.
        since_ns: monotonic clock when it came into this state.
        sessions: connections that gave a picture, so far.
        last_error: why the last connection ended; kept when the next one is there.
    """

    state: SourceState
    reason: str = ""
    since_ns: int = 0
    sessions: int = 0
    last_error: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SourceFrame:
    """One decoded frame.

    Attributes:
        index: its place in the source, from 0.
        pts_ns: presentation time since the source's first frame, strictly increasing.
        picture: the decoded picture.
        epoch: increases when the time line was re-anchored, or another file of a list began.
        damaged: why the picture is suspect, in a few words; empty where it is not.
        utc_ns: wall-clock time of capture in nanoseconds since 1970; None where unknown.
        utc_source: where `utc_ns` comes from.
        stalled: why no new picture came, in a few words: this is the last one again, now; empty
            where it is new.
    """

    index: int
    pts_ns: int
    picture: Picture
    epoch: int = 0
    damaged: str = ""
    utc_ns: int | None = None
    utc_source: Literal["none", "host", "rtcp"] = "none"
    stalled: str = ""


class Source(ABC):
    """A camera, a file or a folder: opened once, read once, closed.

    One thread opens, reads and closes; `interrupt` and `faults` may be used from any thread.

    Attributes:
        live: True for a camera.
    """

    live: bool = False

    def __init__(self) -> None:
        self._faults: Counter[str] = Counter()
        self._condition = Condition(SourceState.CONNECTING)
        self._known: SourceInfo | None = None

    @abstractmethod
    def open(self) -> SourceInfo:
        """Opens a file and decodes its first frame; a camera is waited for in `frames` only.

        Raises:
            SourceError: it cannot be read; names the file or the URL (without its password), what
                was found, and the remedy.
        """

    @abstractmethod
    def frames(self) -> Iterator[SourceFrame]:
        """All frames in order; ends with a file, see `faults`, or soon after `interrupt`.

        Raises:
            SourceError: the next file of a list cannot be opened any more.
        """

    @abstractmethod
    def close(self) -> None:
        """Gives everything back; may be called at any time and more than once."""

    @abstractmethod
    def interrupt(self) -> None:
        """Makes `frames` end soon, also where it is waiting for a camera."""

    @property
    def info(self) -> SourceInfo | None:
        """What is known of a camera by now; None for a source whose `open` says all."""
        return self._known

    @property
    def condition(self) -> Condition:
        """How it is doing now; from any thread."""
        return self._condition

    @property
    def restart(self) -> Restart:
        """How often its process was started anew, where it has one; from any thread."""
        return Restart("decoder")

    @property
    def faults(self) -> Mapping[str, int]:
        """What went wrong so far, by name; empty for a clean source.

        ===================  ===================================================================
        decoder_restart      a process of its own that died, or hung and was killed
        decoder_fallback     a hardware decoder that is not there, or does not decode this video
        decode_error         a packet the decoder refused; its frame is missing
        corrupt_packet       a packet that came damaged or incomplete
        corrupt_frame        a frame that the decoder patched up
        packets_lost         RTP packets that never came
        incomplete_picture   a picture of which packets are missing, or may be
        read_error           the file or stream could not be read on
        truncated            the file ends before what its header says
        size_changed         the pictures have another size from here on
        parameters_changed   the stream has other parameters from here on
        codec_changed        the pictures come in another codec from here on
        pts_missing          a frame without time stamp
        pts_repeated         a time stamp not later than the last one
        pts_restarted        time stamps that began anew; see `SourceFrame.epoch`
        pts_jumped           time stamps that ran ahead of the time that passed; likewise
        pts_late             a camera that stays far behind the time that passed; likewise
        late                 a frame from before a moment that was told as stalled, or that was
                             taken for lost; left out
        connection_lost      a camera that had to be connected to again
        stalled              a camera that was connected, but silent
        frozen               a camera that sent the same picture again and again
        unreadable_image     a file of a folder that is no image, or a broken one
        unreadable_source    a file of a list that could not be opened
        ===================  ===================================================================
        """
        return MappingProxyType(dict(self._faults))
