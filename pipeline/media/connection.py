"""What a connection to a camera gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass

from pipeline.media.picture import Picture

#: A connection gives something, if only None, about so often: seconds.
TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class Coding:
    """How a camera's pictures come.

    Attributes:
        codec: such as ``"h264"``.
        decoder: what decodes and how, for the report.
        fps: nominal frame rate; None where unknown.
    """

    codec: str
    decoder: str
    fps: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One picture of a camera, decoded.

    Attributes:
        picture: of whatever size.
        coding: how it came; the same object until that changes.
        arrived_ns: monotonic clock when it was complete.
        stamp_ns: by the camera's own clock, since any moment; may jump. None where it has none.
        damaged: why it is suspect, in a few words; empty where it is not.
        utc_ns: wall-clock time of capture by the camera's clock; None where it does not say.
        changed: the fault's name where the stream has other parameters from here on; else empty.
    """

    picture: Picture
    coding: Coding
    arrived_ns: int
    stamp_ns: int | None = None
    damaged: str = ""
    utc_ns: int | None = None
    changed: str = ""


#: One connection, from its first byte to its last: shots in order, and None about every `TICK_S`
#: in which there was none, also while it connects. Closing the generator closes the connection.
#: It ends, or raises `SourceError`, when the connection is lost. Its argument counts faults.
Connect = Callable[[Counter[str]], Generator[Shot | None, None, None]]
