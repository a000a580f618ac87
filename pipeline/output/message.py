"""What is told about one frame, whatever the format it is told in."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.analytics.event import Analysis
from pipeline.packet import Packet, Status
from pipeline.payloads import Tracked
from pipeline.tracking.track import Tracks

#: Where a message's UTC came from; the place in this tuple is its number in a telegram.
UTC_SOURCES = ("none", "host", "rtcp")
#: Sequence numbers count modulo this.
SEQUENCE_MODULUS = 1 << 32


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """One frame's result, or one fragment of it.

    Attributes:
        camera: the camera's id.
        epoch: increases when the camera's time line was re-anchored.
        frame: the frame's index in its source, from 0.
        pts_ns: presentation time in nanoseconds since the source's first frame.
        width: of the picture, pixels.
        height: of the picture, pixels.
        status: worst thing known about the frame.
        reason: why `status` is not OK, in a few words.
        engine: id of the engine that ran the last network.
        tracks: what was tracked. Of a telegram, which does not carry them, `ages_s` is NaN, and
            `unseen_s` is 0 where the object was detected in this frame and NaN elsewhere.
        utc_ns: wall-clock time of capture in nanoseconds since 1970, or None where unknown.
        utc_source: one of `UTC_SOURCES`.
        session: random 64-bit number of this row of the camera's messages; a new one is a new
            start of the sender, or of the camera in it.
        began_ns: when the session began by the sender's clock, nanoseconds since 1970; 0 where not
            told. Only authenticated telegrams tell it.
        sequence: counts this camera's messages in the session, modulo `SEQUENCE_MODULUS`, without
            gaps: a gap at the receiver is a loss on the way.
        age_ms: from the frame's entrance to the making of this message; None where not told.
        fragment: which part of the frame's message this is, from 0.
        fragments: into how many parts it was cut; each has whole tracks and the same header.
        last: True of a session's last message, which follows its last frame's: all tracks ended.
        analysis: what the tracks mean; None where nothing analysed them. Of a telegram, which does
            not carry tallies, it has none, and is None where there is neither event nor speed.
    """

    camera: str
    epoch: int
    frame: int
    pts_ns: int
    width: int
    height: int
    status: Status
    reason: str
    engine: str
    tracks: Tracks
    utc_ns: int | None = None
    utc_source: str = "none"
    session: int = 0
    began_ns: int = 0
    sequence: int = 0
    age_ms: float | None = None
    fragment: int = 0
    fragments: int = 1
    last: bool = False
    analysis: Analysis | None = None


def from_packet(packet: Packet[Tracked], now_ns: int | None = None) -> Message:
    """The message of a packet, without a number; shares the packet's arrays.

    Args:
        now_ns: monotonic time, to tell the frame's age; None leaves the age out, as in files,
            which must not differ from run to run.
    """
    frame = packet.frame
    return Message(
        camera=frame.camera,
        epoch=frame.epoch,
        frame=frame.index,
        pts_ns=frame.pts_ns,
        width=frame.width,
        height=frame.height,
        status=packet.status,
        reason=packet.reason,
        engine=packet.engine,
        tracks=packet.payload.tracks,
        utc_ns=frame.utc_ns,
        utc_source=frame.utc_source,
        age_ms=None if now_ns is None else (now_ns - frame.entered_ns) / 1e6,
        analysis=packet.payload.analysis,
    )
