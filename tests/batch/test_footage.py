"""Segments give exactly the frames that one pass over the whole file gives."""

from __future__ import annotations

import pytest

from pipeline.batch.clip import Clip, Segment
from pipeline.batch.footage import Footage
from pipeline.config import BatchRunConfig
from pipeline.media.source import SourceFrame
from tests.batch.pieces import cut

OPEN_GOP = {"bf": "3", "x264-params": "open-gop=1:keyint=10:min-keyint=10:scenecut=0:b-adapt=0"}
X265 = {"x265-params": "keyint=10:min-keyint=10:scenecut=0:open-gop=1:bframes=3:log-level=none"}
CLIPS = {
    "b-frames.mp4": {"options": {"bf": "2"}},
    "open-gop.mp4": {"options": OPEN_GOP},
    "open-gop.ts": {"options": OPEN_GOP},
    "open-gop.mkv": {"options": OPEN_GOP},
    "h265.mp4": {"codec": "libx265", "options": X265},
    "h265.ts": {"codec": "libx265", "options": X265},
    "mpeg4.mp4": {"codec": "mpeg4", "options": {"bf": "2"}},
    "mpeg4.avi": {"codec": "mpeg4"},
    "late.mkv": {"pts": [300 + 40 * i for i in range(30)]},
    "variable.mp4": {"pts": [i * 40 + (i * i) % 37 for i in range(30)], "options": {"bf": "2"}},
    "turned.mp4": {"rotation": 90},
    "intra.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


def frames(clip: Clip, segment: Segment, **options) -> list[tuple[object, ...]]:
    footage = Footage(clip, segment, BatchRunConfig(**options))
    found = [_told(frame) for frame in footage.frames()]
    assert not footage.faults
    return found


def _told(frame: SourceFrame) -> tuple[object, ...]:
    return frame.index, frame.pts_ns, frame.epoch, frame.damaged, frame.picture.bgr().tobytes()


def in_pieces(clip: Clip, **options) -> list[tuple[object, ...]]:
    return [frame for segment in clip.segments for frame in frames(clip, segment, **options)]


@pytest.mark.parametrize("name", CLIPS)
def test_segments_are_the_whole(make_clip, name: str) -> None:
    clip = cut(make_clip(name, **{"gop": 10, "grain": True} | CLIPS[name]))
    whole = frames(clip, Segment(0, 0, None))
    assert len(whole) == 30
    assert len(clip.segments) >= (3 if name != "mpeg4.avi" else 1)
    pieces = in_pieces(clip)
    assert [frame[:4] for frame in pieces] == [frame[:4] for frame in whole]
    assert pieces == whole
