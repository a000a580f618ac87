"""Clips for tests of a batch: their key frames found, and cut there."""

from __future__ import annotations

from pathlib import Path

import av

from pipeline.batch.clip import Clip, Segment
from pipeline.media.sources import open_source


def street(path: Path, seconds: float, gop: int = 8) -> Path:
    """A rendered street as H.264 with B frames, with a key frame every `gop` frames."""
    source = open_source(f"rendered:day?seed=5&seconds={seconds}")
    info = source.open()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2", "preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = info.width, info.height, "yuv420p"
        stream.codec_context.gop_size = gop
        for number, frame in enumerate(source.frames()):
            picture = av.VideoFrame.from_ndarray(frame.picture.bgr(), format="bgr24")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    source.close()
    return path


def key_frames(path: Path) -> list[int]:
    """When the key frames of a video are shown, nanoseconds since its first frame."""
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).pts
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        unit_ns = stream.time_base * 1_000_000_000
        times = [
            round((packet.pts - first) * unit_ns)
            for packet in container.demux(stream)
            if packet.size and packet.is_keyframe and packet.pts is not None
        ]
    return sorted(time for time in times if time >= 0)


def cut(path: Path, name: str = "clip", every: int = 1) -> Clip:
    """A clip of one segment for each `every` key frames."""
    starts = [0, *(time for time in key_frames(path)[::every] if time)]
    ends = [*starts[1:], None]
    segments = tuple(
        Segment(number, start, end)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    )
    return Clip(name, str(path), "h264", 640, 360, 25.0, segments=segments)
