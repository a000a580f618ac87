"""A video of a batch, and the pieces it is looked at in."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.media.place import Place


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a video, from a key frame up to the next piece's.

    Attributes:
        number: its place, from 0.
        start_ns: presentation time of its first frame, since the video's first frame.
        end_ns: that of the next piece; None: to the end.
        frames: in it that are wanted, but for `every`; None where that is not known.
        begin: the key frame to begin decoding at; None: the file's beginning, or the source finds
            it by itself.
    """

    number: int
    start_ns: int
    end_ns: int | None
    frames: int | None = None
    begin: Place | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """One video, as probing found it.

    Attributes:
        name: unique in the batch: the camera's id in all results, and the folder they are in.
        uri: where it is, as `pipeline.media.sources.open_source` takes it.
        codec: such as ``"h264"``.
        width: of the first picture in pixels, after rotation.
        height: of the first picture in pixels, after rotation.
        fps: nominal frame rate; None where unknown.
        frames: as counted in the file; None where that was not possible.
        duration_ns: from the first frame to the end of the last; None where unknown.
        size: bytes; 0 where unknown.
        sha256: of the file; empty for one that is on a server.
        segments: that it is looked at in, at least one; none where it cannot be read.
        notes: what people should know, such as that it is not divided, and why.
        error: why it cannot be read; empty where it can.
    """

    name: str
    uri: str
    codec: str = ""
    width: int = 0
    height: int = 0
    fps: float | None = None
    frames: int | None = None
    duration_ns: int | None = None
    size: int = 0
    sha256: str = ""
    segments: tuple[Segment, ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""
